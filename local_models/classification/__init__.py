"""Sorting texts into labels with a local model: the question put to it, and label probabilities read off its answer.

Pure: no I/O, no clock.
"""
