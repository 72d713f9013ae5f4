"""The runtime's chat stream folded into text, usage and a finish reason. Pure; prints nothing.

Knows the OpenAI chat stream as the runtime writes it, and the headers it adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from runtime.cli.client import error_words

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Delta:
    """The text and reasoning that one line of the stream adds."""

    text: str = ""
    reasoning: str = ""


NOTHING = Delta()


@dataclass(slots=True)
class StreamedAnswer:
    """Grows with `feed`. error: the message of an error event in the stream."""

    text: list[str] = field(default_factory=list)
    finish: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    done: bool = False

    @property
    def whole(self) -> bool:
        """True if the answer is complete: it has a finish reason and no error. `[DONE]` alone proves nothing."""
        return self.error is None and self.finish is not None and self.finish != "abort"

    def feed(self, line: str) -> Delta:
        """One line of the event stream."""
        data = line.removeprefix("data:").strip()
        if data == line.strip() or not data:
            return NOTHING
        if data == "[DONE]":
            self.done = True
            return NOTHING
        try:
            chunk = _decode(data)
        except msgspec.DecodeError:
            self.error = "the stream holds what is no JSON"
            return NOTHING
        return self._chunk(chunk) if isinstance(chunk, dict) else NOTHING

    def take_whole(self, body: bytes) -> Delta:
        """Reads an answer that is not streamed."""
        try:
            chunk = _decode(body)
        except msgspec.DecodeError:
            self.error = "the answer is no JSON"
            return NOTHING
        self.done = True
        return self._chunk(chunk) if isinstance(chunk, dict) else NOTHING

    def _chunk(self, chunk: Mapping[str, Any]) -> Delta:
        if chunk.get("error"):
            self.error = error_words(chunk["error"])[0] or "the stream ended with an error"
            return NOTHING
        self.usage = chunk.get("usage") or self.usage
        choices = chunk.get("choices") or [{}]
        self.finish = choices[0].get("finish_reason") or self.finish
        piece = choices[0].get("delta") or choices[0].get("message") or {}
        delta = Delta(piece.get("content") or "", piece.get("reasoning_content") or piece.get("reasoning") or "")
        self.text.append(delta.text)
        return delta


@dataclass(frozen=True, slots=True)
class Origin:
    """The `x-hearth-*` headers: the target that answered, and the reason."""

    decision: str
    target: str
    reason: str
    attempts: int
    degraded: tuple[str, ...]


def origin_of(headers: Mapping[str, str]) -> Origin:
    attempts = headers.get("x-hearth-attempts", "")
    return Origin(
        headers.get("x-hearth-decision", ""),
        headers.get("x-hearth-target", ""),
        headers.get("x-hearth-reason", ""),
        int(attempts) if attempts.isdigit() else 1,
        tuple(name.strip() for name in headers.get("x-hearth-degraded", "").split(",") if name.strip()),
    )
