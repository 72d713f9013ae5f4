"""Lowers a client's limit on its answer to the longest answer of the model.

Clients send higher ones by default; servers refuse them.
"""

from __future__ import annotations

from runtime.wire.raw_body import RawBody

NAME = "max_tokens"  # the name among the weakened parameters, whatever the client's wire calls it
MEMBERS = ("max_completion_tokens", "max_output_tokens", "max_tokens")


def lowered(body: RawBody, most: int) -> RawBody:
    """The body with no limit above `most` tokens; the same body if it has none above."""
    above = [name for name in MEMBERS if type(limit := body.data.get(name)) is int and limit > most]
    return RawBody(body.spliced(dict.fromkeys(above, str(most).encode()))) if above else body


def least(asked: int | None, most: int | None) -> int | None:
    """The limit to send: at most `most`; None if the client set none."""
    return asked if asked is None or most is None else min(asked, most)
