"""Bytes, JSON and server-sent events: everything on a wire that belongs to no dialect."""
