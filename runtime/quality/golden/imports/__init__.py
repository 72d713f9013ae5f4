"""The files of other evaluation tools as cases of a golden set, with a list of what could not be taken.

openai      OpenAI evals: JSONL with `input` and `ideal`
inspect     Inspect: JSONL, JSON or CSV with `input` and `target`
promptfoo   promptfoo: a YAML or JSON configuration, or CSV with `__expected`
"""
