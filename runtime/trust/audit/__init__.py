"""The audit log: where every answer was made and what left this machine, in a chain that shows each change.

chain    one record as a line: sealing it, reading it back
log      the writer: a queue, one thread, segments, the signed head
verify   the judgement on a folder of segments
"""
