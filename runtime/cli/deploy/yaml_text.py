"""YAML of plain values: mappings, lists and scalars, in block style. Texts are quoted as in JSON. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def document(value: Mapping[str, Any], comment: str = "") -> str:
    """One document. comment: lines before it."""
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    return head + "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _under(f"{_text(str(key))}:", inner)
    else:
        for inner in value:
            first, *rest = _lines(inner) if _nested(inner) else (_scalar(inner),)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)


def _under(head: str, value: Any) -> Iterator[str]:
    """The lines of a member: a scalar beside its key, a block below it, a text of several lines as a literal."""
    if isinstance(value, str) and "\n" in value:
        indent = "2" if value.lstrip("\n").startswith(" ") else ""  # else it would be read off the first line
        yield f"{head} |{indent}{'' if value.endswith(chr(10)) else '-'}"
        yield from (f"  {line}".rstrip() for line in value.removesuffix("\n").split("\n"))
    elif _nested(value):
        yield head
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{head} {_scalar(value)}"


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str) and bool(value)


def _scalar(value: Any) -> str:
    return _text(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(text: str) -> str:
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)
