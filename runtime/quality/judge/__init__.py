"""Answers compared by a capable model, and how far it may be believed. It warns and calibrates; it demotes nobody.

question   the question put to the judge, in both orders, and its verdict
pairs      what is compared: a sample drawn by hash, anchors with a known winner
anchor_file  anchors that people labelled
trust      agreement with the anchors, biases with intervals, corrected rates
drift      the evidence that the judge itself has changed
weekly     a week's comparison, carried out within its budget; journal keeps its verdicts as they come
watch      the chore that begins it, and the anchors before each run with criteria
golden     the judge of golden cases
shown      the weeks for people
"""
