"""OpenAI's chat wire as values, both ways.

    client side     `decode` reads a client's body into a Request; `writer` writes events as chunks or as one whole answer
    upstream side   `encode` writes a Request as a body; `decode_stream` reads chunks into events
    between turns   `signatures` keeps what a model wants back and the wire has no member for

Bytes that pass through from this wire to this wire do not come here: see `runtime.dialects.openai`.
"""
