"""A client's limit on its answer, where it is above what the model can give: lowered, for it means no more than that.

Clients send such limits by default; servers refuse them.
"""

from __future__ import annotations

from runtime.wire.raw_body import RawBody

NAME = "max_tokens"  # what the client is told was weakened, whatever its wire calls it
MEMBERS = ("max_completion_tokens", "max_output_tokens", "max_tokens")


def lowered(body: RawBody, most: int | None) -> RawBody:
    """The body with no limit above `most` tokens; itself where there is none. None: not known."""
    if most is None:
        return body
    above = [name for name in MEMBERS if type(said := body.data.get(name)) is int and said > most]
    return RawBody(body.spliced(dict.fromkeys(above, str(most).encode()))) if above else body


def least(asked: int | None, most: int | None) -> int | None:
    """The limit to send: no more than `most`; None where nobody set one."""
    return asked if asked is None or most is None else min(asked, most)
