"""Reads the chunks of an OpenAI chat stream as events, whoever serves it: the vendor, its imitators, the local engine.

Tolerates what servers of this wire are known to do: usage in the last chunk with choices, in a chunk of its own, or under a
vendor's member; thinking as `reasoning_content`, `reasoning` or `reasoning_details`; calls without ids, without indexes,
with names in pieces or repeated, several under one index; whole messages where deltas belong. Of several choices it reads the
first: more than one only passes through. Never raises: a chunk it cannot read is a failure.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from runtime.contract.events import (
    BlockEnd,
    Citation,
    Event,
    Failed,
    Finish,
    Logprobs,
    MediaOut,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Stop,
    TextDelta,
    UsageReport,
)
from runtime.contract.failures import Failure
from runtime.dialects.meter import UNDECODABLE, broken, finish_reason, garbled
from runtime.dialects.openai_chat.meter import ABORTED, error_failure, usage_of
from runtime.dialects.openai_chat.read_answer.calls import Calls
from runtime.dialects.openai_chat.read_request.tools import WIRE
from runtime.wire import data_url
from runtime.wire import logprobs as openai_logprobs
from runtime.wire.chunk_template import ChunkTemplate

_FINISH: dict[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
}
_COMMON = frozenset({"role", "content", "reasoning_content", "reasoning", "reasoning_details", "refusal", "tool_calls"})
_VENDORS_MEMBER = b'"x_'
_TEXTS = {TextDelta: (b'"content":',), ReasoningDelta: (b'"reasoning_content":', b'"reasoning":')}


class _Choice(msgspec.Struct):
    index: Any = 0
    delta: Any = None
    message: Any = None
    logprobs: Any = None
    finish_reason: Any = None
    native_finish_reason: Any = None
    stop_reason: Any = None


class _Chunk(msgspec.Struct):
    id: Any = None
    model: Any = None
    object: Any = None
    error: Any = None
    choices: list[_Choice] | None = None
    usage: Any = None
    service_tier: Any = None


_chunk = msgspec.json.Decoder(_Chunk)
_anything = msgspec.json.Decoder()


def new_call_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


class ChatAnswerReader:
    """`runtime.contract.codec.Decoder`. new_id: mints an id for a call that came without one."""

    def __init__(self, new_id: Callable[[], str] = new_call_id) -> None:
        self._blocks = _Blocks()
        self._calls = Calls(self._blocks.next, new_id)
        self.closed = False
        self._started = self._failed = self._thought_plainly = False
        self._stopped = self._ended = False  # nothing has come since a finish reason; there has been one
        self._sounds: list[str] = []
        self._cited: list[Citation] = []  # that came before the text they belong to
        self._accounted = False  # the last chunk carried usage
        self._template: ChunkTemplate | None = None
        self._more: type[TextDelta | ReasoningDelta] = TextDelta  # the event of a chunk that fits the template

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        """See `Decoder.feed`."""
        if self._template is not None and not name and (text := self._template.text(data)) is not None:
            self._accounted = False
            return (self._more(self._blocks.index, text),)
        events = self._parsed(name, data)
        # A chunk of one piece of text or reasoning and nothing else is a template for those that follow.
        self._template, only = None, events[0] if len(events) == 1 else None
        if isinstance(only, TextDelta | ReasoningDelta):
            self._more = type(only)
            member = next((name for name in _TEXTS[self._more] if data.count(name) == 1), None)
            self._template = None if member is None else ChunkTemplate.of(data, member, only.text)
        return events

    def finish(self) -> Sequence[Event]:
        """See `Decoder.finish`."""
        if self._failed or self._ended:
            return ()
        return self._fail(broken("the stream ended without a finish reason"))

    def _parsed(self, name: str, data: bytes) -> Sequence[Event]:
        """The events of a chunk that has to be parsed."""
        if self._failed or self.closed:
            return ()
        events: list[Event] = []
        # (1) The closing mark. Some hosts omit `finish_reason`; a final usage chunk counts as the end.
        if data == b"[DONE]":
            self.closed = True
            if self._accounted and not self._ended and (self._blocks.begun or self._calls.open):
                self._stop("", None, events)
            return events
        # (2) An error in place of a chunk.
        try:
            chunk = _chunk.decode(data)
        except UNDECODABLE as error:
            return self._fail(garbled(f"an event of the stream is not a chunk: {error}", data))
        if chunk.error is not None or name == "error" or chunk.object == "error":
            return self._fail(error_failure(chunk.error or _anything.decode(data), data))
        # (3) A chunk.
        self._accounted = chunk.usage is not None
        if not self._started:
            self._started = True
            events.append(Start(_string(chunk.id), _string(chunk.model)))
        for choice in chunk.choices or ():
            if not (choice.index or self._failed):
                self._read(choice, events)
        if not self._failed and (chunk.usage is not None or _VENDORS_MEMBER in data):
            found = chunk.usage
            if found is None:
                # Some vendors put usage into a member of their own (`x_…`).
                nested = (value for key, value in _anything.decode(data).items() if key.startswith("x_"))
                found = next((each["usage"] for each in nested if isinstance(each, dict) and each.get("usage")), None)
            usage = usage_of(found, chunk.service_tier)
            if usage is not None:
                events.append(UsageReport(usage, {WIRE: found}))
        return events

    def _fail(self, failure: Failure) -> Sequence[Event]:
        self._failed = True
        return (Failed(failure),)

    def _read(self, choice: _Choice, events: list[Event]) -> None:
        """Reads one choice: its delta, log probabilities and finish reason."""
        # After a finish reason a whole message repeats the deltas; a delta continues them.
        delta = choice.message if choice.delta is None and not self._ended else choice.delta
        if isinstance(delta, dict):
            before = len(events)
            self._delta(delta, events)
            self._stopped = self._stopped and len(events) == before
            if choice.logprobs and delta.get("content"):
                # Of text alone: some servers give those of reasoning and calls too, and no wire has a place for them.
                given = choice.logprobs.get("content") if isinstance(choice.logprobs, dict) else None
                if tokens := openai_logprobs.read(given):
                    events.append(Logprobs(self._blocks.text, tokens))
        reason = finish_reason(choice.finish_reason)
        if self._failed or reason is None:
            return
        if reason in ABORTED:
            events += self._fail(broken(f"the model's run ended with {reason!r}"))
            return
        # The word of the server behind a router is more precise: an answer that was cut is no finished call.
        native = choice.native_finish_reason
        cut = isinstance(native, str) and _FINISH.get(native.lower()) == "length"
        if not self._stopped:  # some servers repeat it with the usage
            self._stop("length" if cut else reason, choice.stop_reason, events)

    def _stop(self, reason: str, matched: Any, events: list[Event]) -> None:
        self._stopped = self._ended = True
        self._called(self._calls.end(), events)
        if self._failed:
            return
        if self._sounds:
            events.append(MediaOut(self._blocks.next(), "audio/wav", "".join(self._sounds)))
            self._sounds.clear()
        finish = _FINISH.get(reason.lower(), "stop")
        if finish == "stop" and self._calls.made:
            finish = "tool_calls"  # a call that was forced by name ends with "stop" on this wire
        events.append(Stop(finish, reason or None, _string(matched)))

    def _called(self, made: Sequence[Event], events: list[Event]) -> None:
        events += made
        self._failed = any(isinstance(event, Failed) for event in made)

    def _delta(self, delta: dict[str, Any], events: list[Event]) -> None:
        text = delta.get("content")
        if len(delta) > 1 or text is None:
            thought = delta.get("reasoning_content") or delta.get("reasoning")
            details = delta.get("reasoning_details")
            if thought or details:
                self._think(thought, details, events)
            if delta.get("refusal"):
                events.append(RefusalDelta(str(delta["refusal"])))
        if text:
            self._say(text, events)
        entries = delta.get("tool_calls")
        if entries is None and isinstance(delta.get("function_call"), dict):
            entries = [{"index": 0, "function": delta["function_call"]}]
        if isinstance(entries, list) and entries:
            self._blocks.close(events)
            for entry in entries:
                if not self._failed:
                    self._called(self._calls.take(entry), events)
        if not delta.keys() <= _COMMON:
            self._rarely(delta, events)

    def _say(self, text: Any, events: list[Event]) -> None:
        """Content is text; some servers give parts, reasoning among them."""
        if isinstance(text, str):
            events.append(TextDelta(self._blocks.open("text", events), text))
            if self._cited:
                events += [replace(cited, index=self._blocks.text) for cited in self._cited]
                self._cited.clear()
            return
        for part in _tables(text):
            if isinstance(part.get("text"), str) and part["text"]:
                events.append(TextDelta(self._blocks.open("text", events), part["text"]))
            elif isinstance(part.get("thinking"), list):
                self._think(None, part["thinking"], events)

    def _think(self, thought: Any, details: Any, events: list[Event]) -> None:
        """Details repeat the plain text, in the same chunk or later; only they have signatures and sealed reasoning."""
        if isinstance(thought, str) and thought:
            self._thought_plainly = True
            events.append(ReasoningDelta(self._blocks.open("reasoning", events), thought))
        for detail in _tables(details):
            text = "" if self._thought_plainly else detail.get("text") or detail.get("summary") or ""
            signature, data = _string(detail.get("signature")), _string(detail.get("data"))
            if isinstance(text, str) and (text or signature or data):
                index = self._blocks.open("reasoning", events)
                events.append(ReasoningDelta(index, text, signature, data))

    def _rarely(self, delta: dict[str, Any], events: list[Event]) -> None:
        """Members that few servers send: citations, images, sounds."""
        for note in _tables(delta.get("annotations")):
            cited = note.get("url_citation")
            if isinstance(cited, dict):
                url, title, words = (_string(cited.get(name)) for name in ("url", "title", "content"))
                places = (cited.get(name) for name in ("start_index", "end_index"))
                start, end = (place if isinstance(place, int) else None for place in places)
                citation = Citation(self._blocks.text, url, title, start, end, words)
                (events if self._blocks.texted else self._cited).append(citation)
        for image in _tables(delta.get("images")):
            inner = image.get("image_url")
            address = inner.get("url") if isinstance(inner, dict) else inner
            inline = data_url.read(address) if isinstance(address, str) else None
            if inline is not None:
                events.append(MediaOut(self._blocks.next(), inline.mime, inline.data))
        audio = delta.get("audio")
        if isinstance(audio, dict):
            self._sounds.append(_string(audio.get("data")) or "")
            self._say(audio.get("transcript") or "", events)


class _Blocks:
    """Numbers blocks in the order they begin. At most one of text and reasoning is open."""

    __slots__ = ("_count", "_kind", "index", "text", "texted")

    def __init__(self) -> None:
        self._count = 0
        self.texted = False  # a block of text has begun
        self.index = self.text = 0  # of the open block, and of the last one of text
        self._kind = ""

    @property
    def begun(self) -> bool:
        return self._count > 0

    def next(self) -> int:
        self._count += 1
        return self._count - 1

    def open(self, kind: str, events: list[Event]) -> int:
        if kind != self._kind:
            self.close(events)
            self._kind, self.index = kind, self.next()
            if kind == "text":
                self.text, self.texted = self.index, True
        return self.index

    def close(self, events: list[Event]) -> None:
        if self._kind:
            events.append(BlockEnd(self.index))
            self._kind = ""


def _tables(value: Any) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
