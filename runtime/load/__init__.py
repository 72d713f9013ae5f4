"""Pure load keeping: the in-flight token ledger, predicted TTFT, saturation with hysteresis, choice of a replica.

Clocks come in as arguments (seconds, monotonic). Gauges are handed in; this room reads none itself.
"""
