"""Chunks of an OpenAI chat stream as events, whoever serves it: the vendor, its imitators, the local engine.

Tolerates what servers of this wire are known to do: usage in the last chunk with choices, in a chunk of its own, or under a
vendor's member; thinking as `reasoning_content`, `reasoning` or `reasoning_details`; calls without ids, without indexes,
with names in pieces or repeated, several under one index; whole messages where deltas belong. Of several choices it reads the
first: more than one only passes through. Never raises: what it cannot read is a failure.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
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
from runtime.dialects.meter import broken, garbled
from runtime.dialects.openai_chat.meter import error_failure, usage_of
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
# The run was ended, the answer was not.
_ABORTED = frozenset({"abort", "error", "insufficient_system_resource", "network_error", "server_error"})


class _Choice(msgspec.Struct):
    index: Any = 0
    delta: Any = None
    message: Any = None
    logprobs: Any = None
    finish_reason: Any = None
    stop_reason: Any = None


class _Chunk(msgspec.Struct):
    id: Any = None
    model: Any = None
    object: Any = None
    error: Any = None
    choices: list[_Choice] | None = None
    usage: Any = None


_chunk = msgspec.json.Decoder(_Chunk)
_anything = msgspec.json.Decoder()


def new_call_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


class ChatAnswerReader:
    """`runtime.contract.codec.Decoder`. new_id: mints an id for a call that came without one."""

    def __init__(self, new_id: Callable[[], str] = new_call_id) -> None:
        self._blocks = _Blocks()
        self._calls = Calls(self._blocks.next, new_id)
        self._started = self._stopped = self._failed = self._thought_plainly = False
        self._sounds: list[str] = []
        self._accounted = False  # the last chunk carried usage
        self._template: ChunkTemplate | None = None
        self._more: type[TextDelta | ReasoningDelta] = TextDelta  # what a chunk alike is

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        if self._template is not None and not name and (text := self._template.text(data)) is not None:
            self._accounted = False
            return (self._more(self._blocks.index, text),)
        events = self._read_whole(name, data)
        self._template = self._template_of(events, data)
        return events

    def _template_of(self, events: Sequence[Event], data: bytes) -> ChunkTemplate | None:
        """Of a chunk that said one piece of text or thinking and nothing else."""
        said = events[0] if len(events) == 1 else None
        if not isinstance(said, TextDelta | ReasoningDelta):
            return None
        self._more = type(said)
        member = next((name for name in _TEXTS[self._more] if data.count(name) == 1), None)
        return None if member is None else ChunkTemplate.of(data, member, said.text)

    def _read_whole(self, name: str, data: bytes) -> Sequence[Event]:
        if self._failed:
            return ()
        if data == b"[DONE]":
            return self._closed()
        try:
            chunk = _chunk.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._fail(Failed(garbled(f"an event of the stream is not a chunk: {error}", data)))
        if chunk.error is not None or name == "error" or chunk.object == "error":
            return self._fail(Failed(error_failure(chunk.error or _anything.decode(data), data)))
        self._accounted = chunk.usage is not None
        events: list[Event] = [] if self._started else [self._start(chunk)]
        for choice in chunk.choices or ():
            if not (choice.index or self._stopped or self._failed):
                self._read(choice, events)
        if not self._failed and (chunk.usage is not None or _VENDORS_MEMBER in data):
            events += _usage(chunk.usage, data)
        return events

    def _closed(self) -> Sequence[Event]:
        """The closing mark. Some hosts forget the finish reason; that the run came to its end, their final account says."""
        events: list[Event] = []
        if self._accounted and not self._stopped and (self._blocks.begun or self._calls.open):
            self._stop("", None, events)
        return events

    def finish(self) -> Sequence[Event]:
        if self._failed or self._stopped:
            return ()
        return self._fail(Failed(broken("the stream ended without a finish reason")))

    def _fail(self, failed: Failed) -> Sequence[Event]:
        self._failed = True
        return (failed,)

    def _start(self, chunk: _Chunk) -> Start:
        self._started = True
        return Start(_string(chunk.id), _string(chunk.model))

    def _read(self, choice: _Choice, events: list[Event]) -> None:
        delta = choice.message if choice.delta is None else choice.delta
        if isinstance(delta, dict):
            self._delta(delta, events)
            if choice.logprobs and delta.get("content"):
                self._weigh(choice.logprobs, events)
        reason = choice.finish_reason
        if reason is None or reason == "":
            return
        if reason in _ABORTED if isinstance(reason, str) else True:
            events += self._fail(Failed(broken(f"the model's run ended with {reason!r}")))
            return
        self._stop(reason, choice.stop_reason, events)

    def _stop(self, reason: str, matched: Any, events: list[Event]) -> None:
        self._stopped = True
        owed = self._calls.end()
        events += owed
        if any(isinstance(event, Failed) for event in owed):
            self._failed = True
            return
        if self._sounds:
            events.append(MediaOut(self._blocks.next(), "audio/wav", "".join(self._sounds)))
        finish = _FINISH.get(reason.lower(), "stop")
        if finish == "stop" and self._calls.made:
            finish = "tool_calls"  # a call that was forced by name ends with "stop" on this wire
        events.append(Stop(finish, reason or None, _string(matched)))

    def _delta(self, delta: dict[str, Any], events: list[Event]) -> None:
        text = delta.get("content")
        if len(delta) > 1 or text is None:
            self._beside_text(delta, events)
        if text:
            self._say(text, events)
        entries = delta.get("tool_calls")
        if entries is None and isinstance(delta.get("function_call"), dict):
            entries = [{"index": 0, "function": delta["function_call"]}]
        if isinstance(entries, list) and entries:
            self._blocks.close(events)
            for entry in entries:
                events += self._calls.take(entry)
        if not delta.keys() <= _COMMON:
            self._rarely(delta, events)

    def _weigh(self, told: Any, events: list[Event]) -> None:
        """Of text alone: some servers give those of thinking and calls too, and no wire has a place for them."""
        tokens = openai_logprobs.read(told.get("content") if isinstance(told, dict) else None)
        if tokens:
            events.append(Logprobs(self._blocks.text, tokens))

    def _beside_text(self, delta: dict[str, Any], events: list[Event]) -> None:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        details = delta.get("reasoning_details")
        if thought or details:
            self._think(thought, details, events)
        if delta.get("refusal"):
            events.append(RefusalDelta(str(delta["refusal"])))

    def _say(self, text: Any, events: list[Event]) -> None:
        """Content is text; some servers give parts, thinking among them."""
        if isinstance(text, str):
            events.append(TextDelta(self._blocks.open("text", events), text))
            return
        for part in text if isinstance(text, list) else ():
            if not isinstance(part, dict):
                continue
            if isinstance(part.get("text"), str) and part["text"]:
                events.append(TextDelta(self._blocks.open("text", events), part["text"]))
            elif isinstance(part.get("thinking"), list):
                self._think(None, part["thinking"], events)

    def _think(self, thought: Any, details: Any, events: list[Event]) -> None:
        """Details repeat the plain text, in the same chunk or later; what they alone have is signatures and sealed thinking."""
        if isinstance(thought, str) and thought:
            self._thought_plainly = True
            events.append(ReasoningDelta(self._blocks.open("reasoning", events), thought))
        for detail in details if isinstance(details, list) else ():
            if not isinstance(detail, dict):
                continue
            text = "" if self._thought_plainly else detail.get("text") or detail.get("summary") or ""
            signature, data = _string(detail.get("signature")), _string(detail.get("data"))
            if isinstance(text, str) and (text or signature or data):
                index = self._blocks.open("reasoning", events)
                events.append(ReasoningDelta(index, text, signature, data))

    def _rarely(self, delta: dict[str, Any], events: list[Event]) -> None:
        for note in _tables(delta.get("annotations")):
            cited = note.get("url_citation")
            if isinstance(cited, dict):
                events.append(_citation(self._blocks.text, cited))
        for image in _tables(delta.get("images")):
            inner = image.get("image_url")
            inline = _inline(inner.get("url") if isinstance(inner, dict) else inner)
            if inline is not None:
                events.append(MediaOut(self._blocks.next(), inline.mime, inline.data))
        audio = delta.get("audio")
        if isinstance(audio, dict):
            self._sounds.append(_string(audio.get("data")) or "")
            self._say(audio.get("transcript") or "", events)


class _Blocks:
    """Numbers blocks in the order they begin. At most one of text and reasoning is open."""

    __slots__ = ("_count", "_kind", "index", "text")

    def __init__(self) -> None:
        self._count = 0
        self.index = self.text = 0  # of the open block, of the last one of text
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
                self.text = self.index
        return self.index

    def close(self, events: list[Event]) -> None:
        if self._kind:
            events.append(BlockEnd(self.index))
            self._kind = ""


def _usage(found: Any, data: bytes) -> Sequence[UsageReport]:
    """Usage stands in the chunk, or in a member that a vendor added (`x_…`)."""
    if found is None:
        nested = (value for name, value in _anything.decode(data).items() if name.startswith("x_"))
        found = next((value["usage"] for value in nested if isinstance(value, dict) and value.get("usage")), None)
    usage = usage_of(found)
    return () if usage is None else (UsageReport(usage, {WIRE: found}),)


def _citation(index: int, cited: dict[str, Any]) -> Citation:
    start, end = (cited[name] if isinstance(cited.get(name), int) else None for name in ("start_index", "end_index"))
    url, title, content = (_string(cited.get(name)) for name in ("url", "title", "content"))
    return Citation(index, url, title, start, end, content)


def _inline(url: Any) -> data_url.Inline | None:
    return data_url.read(url) if isinstance(url, str) else None


def _tables(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
