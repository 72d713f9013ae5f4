"""The family of a model: a judge is never an arm, nor of an arm's family. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NOT_A_FAMILY = frozenset({"", "local", "models"})


def families(label: str) -> frozenset[str]:
    """The provider and the model's first words: `openrouter/anthropic/claude-x` is of openrouter, anthropic and claude."""
    parts = label.lower().split("/")
    words = [*parts[:-1], re.split(r"[-_.:\d]", parts[-1])[0]]
    return frozenset(words) - _NOT_A_FAMILY


def related(judge: str, arms: Iterable[str]) -> str | None:
    """The first arm that a judge must not judge, as a sentence; None if there is none. All are labels."""
    own = families(judge)
    for arm in arms:
        if arm == judge:
            return f"{judge} is itself one of the models that are compared"
        if shared := own & families(arm):
            return f"{judge} and {arm}, which it would judge, are both of {min(shared)}"
    return None
