"""A conversation under way, as a decision sees it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Session(msgspec.Struct, frozen=True):
    """home, label: name and PROVIDER/MODEL of the target that gave the latest answer.

    cached: by target name, tokens of the conversation that are likely to be in that target's prompt cache now. A target without
    any is not in it.
    """

    home: str
    label: str
    cached: Mapping[str, int] = {}
