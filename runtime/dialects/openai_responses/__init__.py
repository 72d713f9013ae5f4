"""OpenAI's responses wire as values, both ways. Knows no target and no vendor's models.

dialect         the seam: check, pass through, read, write; one value for the door, one copy per request
passing         a client's bytes for a target of this wire
read_request/   a client's body -> Request (items, parts, tools)
write_request/  Request -> the body of a call to a server of this wire (items), for one server's profile
read_answer     such a server's events -> events of the contract
write_answer/   events of the contract -> the client's stream or whole response (output: items; envelope: the response)
meter           reads answers that pass through
conversation    the turns before a body that names its predecessor, and the row that is stored of an answer
signatures      reasoning carried through clients, and which model made which item
listing         pages of a stored response's input items
words           names and tables: finish reasons, usage
"""
