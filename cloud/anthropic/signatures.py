"""Signatures of thinking, marked with the model that made them, because thinking is bound to its model.

A client sends back what it received, and another model or another vendor may have answered in between. A signature without a
mark, or with another model's, is not sent.
"""

from __future__ import annotations

import re

from cloud.anthropic.names import WIRE
from runtime.contract.messages import Reasoning

_SNAPSHOT = re.compile(r"(-0)?(-\d{8}|-latest)?$")


def marked(opaque: str, model: str | None) -> str:
    """A signature as clients see it."""
    return f"{WIRE}/{_family(model or '')}#{opaque}"


def unmarked(value: str | None, part: Reasoning, model: str) -> str | None:
    """The vendor's own value if `model` made it, else None."""
    if not value:
        return None
    mark, hash_, opaque = value.partition("#")
    if hash_ and mark.startswith(f"{WIRE}/"):
        return opaque if mark == f"{WIRE}/{_family(model)}" else None
    return value if WIRE in part.extra else None


def _family(model: str) -> str:
    """The model without its date: an alias and the snapshot behind it are one."""
    return _SNAPSHOT.sub("", model, count=1)
