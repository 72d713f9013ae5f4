"""OpenAI's chat wire, both ways.

client side     `dialect` passes a client's bytes through; `read_request` turns a body into a Request, `write_answer`
                turns events into chunks or one whole answer
upstream side   `write_request` turns a Request into a body; `read_answer` turns chunks into events
between turns   `signatures` keeps what a model wants back and the wire has no member for
"""
