"""Ids that name the Hearth which stores what they stand for: `resp_b.6f0c…` is the response that Hearth `b` keeps.

Only in a fleet: elsewhere ids name nobody. What is kept stays with the Hearth that made it, and every other one asks there.
"""

from __future__ import annotations

import re

_FORM = re.compile(r"([a-z]+[_-])(?:([A-Za-z0-9-]{1,63})\.)?([^/]+)")


def owned(id: str, owner: str) -> str:
    """The id with the Hearth's name in it, in place of another's. owner: "" leaves it as it is."""
    if not owner:
        return id
    found = _FORM.fullmatch(id)
    return f"{found[1]}{owner}.{found[3]}" if found else f"id_{owner}.{id}"


def owner_of(id: str) -> str:
    """The name of the Hearth that stores it; "" if the id names none."""
    found = _FORM.fullmatch(id)
    return (found[2] or "") if found else ""
