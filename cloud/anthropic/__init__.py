"""Claude over the Messages wire. Pure, but for the hop in `pauses`.

codec.py           the codec, made of the rest
write_request.py   Request -> body: turns, blocks, tools, thinking, schema, media, caching, extras
read_answer.py     event stream -> events
faults.py          error bodies -> Failure
pauses.py          the requests of one turn as one answer
names.py           versions, ids and tool names
"""
