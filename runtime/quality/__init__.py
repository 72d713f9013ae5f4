"""The quality of decisions and answers, judged after the fact.

values     golden sets, results, runs: what the rooms below share
golden     the files of golden sets, and checks of answers
runs       runs over golden sets: asked, graded, stored
sample     kept prompts and answers, redacted, where somebody asked for them
replay     recorded decisions, made again under other settings
"""
