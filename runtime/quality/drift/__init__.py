"""Drift of a model on a golden set: its reference, the evidence against it, demotion and promotion. Pure, standard library."""
