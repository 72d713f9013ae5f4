"""The quality of decisions and answers, judged after the fact.

replay     recorded decisions, made again under other settings
"""
