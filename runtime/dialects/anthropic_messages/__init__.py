"""Anthropic's messages wire as clients speak it. Knows no target and no vendor's models: `cloud` speaks this wire upstream.

dialect         the seam: check, pass through, read, write
read_request/   a client's body -> Request (blocks, sources, tools)
write_answer/   events of the contract -> the client's stream or whole message (composer: which wire events)
meter           reads answers that pass through
signatures      signatures of other wires' models, carried through clients
check, errors   the body a message must have; errors in this wire's shape
counting        count_tokens
listing         the list of models
words           names and tables: stop reasons, usage
"""
