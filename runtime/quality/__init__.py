"""The quality of decisions and answers, judged after the fact.

values     golden sets, results, runs: what the rooms below share
golden     the files of golden sets, and checks of answers
runs       runs over golden sets: asked, graded, stored
replay     recorded decisions, made again under other settings
"""
