"""`[quality.sample]`: a few prompts and their answers, redacted, for the judge and for calibration. Off unless asked for.

answers  the text and the tool calls of an answer, read off the bytes that its client got
file     the file: bounded in number and days, readable by its owner alone
sample   what is taken, and what never is
"""
