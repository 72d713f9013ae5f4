"""Anthropic's messages wire as a client speaks it.

    dialect     the seam: check, pass through, decode, write
    decode      a body into a Request (with blocks, sources and tools)
    writer      events into the wire, streamed or whole (composer: which wire events; words: its vocabulary)
    meter       reads answers that pass through
    marks       what other wires want back, carried in members clients of this one hand back untouched
    errors      errors in this wire's shape
    counting    count_tokens; listing: the list of models

Knows no target and no vendor's models: the codec that speaks this wire upstream is another module's.
"""
