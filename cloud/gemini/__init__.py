"""Gemini over generateContent (v1beta): requests out, events in, verdicts over errors. Pure; sends nothing.

codec.py       the codec, put together of the rest
encode.py      Request -> body: turns, tools, settings of generation, extras
decode.py      event stream -> events
faults.py      error bodies -> Failure
files.py       media too large for a body go up beforehand: the plan, and the one thing here with I/O, over a given hop
"""
