"""Frozen values that cross seams, and the seams themselves. Knows no wire, no vendor, no I/O; imports nothing of Hearth."""
