"""Runs a plan: attempts, commit point, time-outs, verdicts, breakers, cancellation. Knows no wire and no vendor."""
