"""The inputs of `hearth explain`: a prompt, a request, or lines of either, each as the body a client would send.

Knows bodies and lines; no plan, no runtime.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from runtime.dialects.openai_chat.dialect import CHAT
from runtime.dialects.openai_completions import COMPLETIONS
from runtime.dialects.pooling import EMBEDDINGS
from runtime.dialects.seam import Dialect
from runtime.routing.plan.names import AUTO
from runtime.wire.raw_body import BadBody, RawBody

_BOM = b"\xef\xbb\xbf"
# The dialect of a body, by a member that only this dialect requires; all others are chats.
_NEEDS: Mapping[str, Dialect] = {"prompt": COMPLETIONS, "input": EMBEDDINGS}


class Case(msgspec.Struct, frozen=True):
    """One line that can be explained. number: counted from 1. id: the line's own, None if it has none."""

    number: int
    id: Any
    body: RawBody


class BadLine(msgspec.Struct, frozen=True):
    """line: counted from 1."""

    line: int
    error: str


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    id: Any = None
    prompt: str | msgspec.UnsetType = msgspec.UNSET
    body: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Line).decode


def prompt_body(prompt: str, model: str, requires: Iterable[str] = ()) -> RawBody:
    """A prompt as a chat with one user message."""
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    if wanted := list(requires):
        body["hearth"] = {"requires": wanted}
    return RawBody(msgspec.json.encode(body))


def request_body(raw: bytes) -> RawBody:
    """A request as written; without a `model` it is for `auto`. Raises BadBody."""
    body = RawBody(raw)
    dialect_of(body).check(body)
    if "model" in body.spans:
        return body
    return RawBody(body.spliced({"model": msgspec.json.encode(AUTO)}))


def dialect_of(body: RawBody) -> Dialect:
    """The dialect of a body."""
    return next((dialect for member, dialect in _NEEDS.items() if member in body.spans), CHAT)


def read_lines(lines: Iterable[bytes], model: str) -> Iterator[Case | BadLine]:
    """The cases of a file, in its order; blank lines are skipped. model: for lines that hold a prompt."""
    for number, line in enumerate(lines, 1):
        text = line.removeprefix(_BOM).strip() if number == 1 else line.strip()
        if text:
            try:
                read = _decode(text)
                yield Case(number, read.id, _body_of(read, model))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
                yield BadLine(number, f"the line cannot be read: {fault}")
            except BadBody as fault:
                yield BadLine(number, str(fault))


def _body_of(line: _Line, model: str) -> RawBody:
    if isinstance(line.prompt, str) and isinstance(line.body, msgspec.UnsetType):
        return prompt_body(line.prompt, model)
    if isinstance(line.body, msgspec.Raw) and isinstance(line.prompt, msgspec.UnsetType):
        return request_body(bytes(line.body))
    raise BadBody('a line holds either "prompt" or "body"')


def result_line(id: Any, shown: Mapping[str, Any]) -> Mapping[str, Any]:
    """An explanation as `--batch` writes it."""
    candidates = [{"target": each["target"], "reason": each["reason"]} for each in shown["candidates"]]
    kept = {name: shown[name] for name in ("score", "task", "target", "reason")}
    return {"id": id, **kept, "candidates": candidates}
