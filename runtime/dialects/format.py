"""Answers in a format (JSON, a schema) from models that cannot be made to keep one: instructed, checked, asked once more.

`instructed` puts the format into words, `CheckedMeter` holds an answer back and checks it, `repair` asks for a better one.
An answer that still does not keep its format is a failure: the client never gets it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from runtime.contract.codec import Decoder
from runtime.contract.events import Event, Stop, TextDelta, ToolCallStart
from runtime.contract.messages import Format, Message, Request, Role, Text
from runtime.dialects.meter import garbled
from runtime.dialects.translating import ANSWER_LIMIT, TranslatingMeter, Writer
from runtime.wire.child_pool import UncheckedError
from runtime.wire.json_schema import SchemaViolation
from runtime.wire.schema_process import SchemaProcess

FORMAT_NOT_KEPT = "format_not_kept"  # a failure's code: the same target is not asked again
_FENCE = "```"

Check = Callable[[str, Any], Awaitable[SchemaViolation | None]]
"""Checks a text against a schema (None: any JSON object). Raises UncheckedError."""

CHECKS = SchemaProcess()


def instructed(request: Request) -> Request:
    """The request with its format in words, after the instructions at its head.

    A JSON object is still asked for, because many servers that know no schema enforce that much.
    """
    wanted = request.format
    if wanted is None:
        return request
    head = 0
    while head < len(request.messages) and request.messages[head].role is Role.SYSTEM:
        head += 1
    words = Message(Role.SYSTEM, (Text(instruction(wanted)),))
    messages = (*request.messages[:head], words, *request.messages[head:])
    return replace(request, messages=messages, format=Format(None, wanted.name))


def instruction(wanted: Format) -> str:
    """The format in words; the same words for the same schema, so that prompt caches hold."""
    words = "Answer with one JSON object and nothing else: no prose around it, no code fence."
    if wanted.schema is None:
        return words
    about = f" It describes: {wanted.description}." if wanted.description else ""
    return f"{words}{about} It must be valid under this JSON Schema:\n{msgspec.json.encode(wanted.schema).decode()}"


def unfenced(text: str) -> str:
    """The text without a code fence around all of it."""
    inner = text.strip()
    opening, line_break, rest = inner.partition("\n")
    word = opening.removeprefix(_FENCE).strip()
    if not (opening.startswith(_FENCE) and line_break and rest.endswith(_FENCE) and (not word or word.isalpha())):
        return text
    return rest.removesuffix(_FENCE).strip()


def repair(request: Request, answer: str, found: SchemaViolation) -> Request:
    """The request asked once more, with the bad answer and what is wrong with it."""
    words = f"That is not what was asked for: {found}. Answer again, with the corrected JSON object alone."
    bad = (Message(Role.ASSISTANT, (Text(answer),)),) if answer else ()
    return replace(request, messages=(*request.messages, *bad, Message(Role.USER, (Text(words),))))


class CheckedMeter(TranslatingMeter):
    """A `TranslatingMeter` that writes only an answer that keeps `request.format`.

    It holds the answer back. When the upstream has ended, call `check` and then `end`. A refusal, a tool call or an answer
    cut by its own limit is not checked. violation: what is wrong with `text`, for `repair`.
    """

    __slots__ = ("_check", "_checked", "_complete", "_held", "_into", "request", "text", "violation")

    def __init__(
        self,
        decoder: Decoder,
        writer: Writer,
        request: Request,
        check: Check = CHECKS.violation,
        limit: int = ANSWER_LIMIT,
    ) -> None:
        self._held = _Held()
        super().__init__(decoder, self._held, limit)
        self._into = writer
        self._check = check
        self._checked = self._complete = False
        self.request = request
        self.text = ""
        self.violation: SchemaViolation | None = None

    async def check(self) -> None:
        """Checks the answer once the upstream has ended; sets `violation` and `failure` if it does not keep its format."""
        if self.failure is None and not self._complete:
            self._complete = True
            self._finish()
        if self.failure is not None or self._checked:
            return
        events, wanted = self._held.events, self.request.format
        stop = next(event for event in events if isinstance(event, Stop))
        if wanted is not None and stop.finish == "stop" and not any(isinstance(e, ToolCallStart) for e in events):
            self.text = "".join(event.text for event in events if isinstance(event, TextDelta))
            message = ""
            try:
                self.violation = await self._check(unfenced(self.text), wanted.schema)
            except UncheckedError as error:
                message = f"the answer's format could not be checked in time: {error}"
            if self.violation is not None:
                message = f"the answer does not keep its format: {self.violation}"
            if message:
                self.failure = replace(garbled(message), code=FORMAT_NOT_KEPT)
        self._checked = True

    def end(self) -> bytes:
        """See `Meter.end`. Raises RuntimeError if the answer was not checked."""
        if self.failure is not None or self._written:
            return b""
        if not self._checked:
            raise RuntimeError("the answer was not checked")
        self.done = self._written = True
        return b"".join(map(self._into.feed, self._without_fence())) + self._into.end()

    def _without_fence(self) -> Sequence[Event]:
        """The events; text in a code fence becomes one event without it, where the first one stood."""
        clean, events = unfenced(self.text), self._held.events
        if clean == self.text or not self.text:
            return events
        first = next(event for event in events if isinstance(event, TextDelta))
        whole = TextDelta(first.index, clean)
        kept = [event for event in events if event is first or not isinstance(event, TextDelta)]
        return [whole if event is first else event for event in kept]


class _Held:
    """A `Writer` that keeps the events."""

    __slots__ = ("events",)

    def __init__(self) -> None:
        self.events: list[Event] = []

    def feed(self, event: Event) -> bytes:
        self.events.append(event)
        return b""

    def end(self) -> bytes:
        return b""
