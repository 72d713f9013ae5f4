"""Claude over the Messages wire: requests out, events in, verdicts over errors. Pure; sends nothing.

codec.py       the codec, put together of the rest
encode.py      Request -> body: turns, tools, thinking, schema, media, caching, extras
decode.py      event stream -> events
faults.py      error bodies -> Failure
"""
