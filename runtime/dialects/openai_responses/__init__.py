"""OpenAI's responses wire as values, both ways.

    dialect         the seam: check, pass through, decode, write; one value for the door, one copy per request
    decode          a body into a Request (with decode_items, decode_parts and decode_tools)
    writer          events into the wire, streamed or whole (output: which items; envelope: the response around them)
    meter           reads answers that pass through
    passing         a client's bytes for a target of this wire
    conversation    what came before a body that names its predecessor, and what is kept of an answer
    marks, makers   what other wires' models want back, and which model made which item
    encode          a Request as a body of this wire, for a server that speaks it upstream (with encode_items)
    decode_stream   such a server's events into ours

Knows no target and no vendor's models.
"""
