"""Gemini over generateContent (v1beta). Pure, but for the uploads in `files`.

codec.py           the codec, made of the rest
write_request.py   Request -> body: turns, parts, tools, thinking, schema, media, generation, extras
read_answer.py     event stream -> events
faults.py          error bodies -> Failure
files.py           uploads of media too large for a body
names.py           addresses and casing
"""
