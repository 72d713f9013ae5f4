"""Stored responses: continuing a conversation by `previous_response_id`.

store       the seam: resume, add, read, forget; memory first, then the file
limits      how many, how large, how old
chain       one conversation as a walk from its newest turn to its first
memory      responses in memory, for an hour
file        responses on disk, for those whose client asked for it
background  the one thread in which the file is used
threaded    a database of any kind in such a thread
"""
