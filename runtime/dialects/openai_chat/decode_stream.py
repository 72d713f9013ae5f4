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
    MediaOut,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Stop,
    TextDelta,
    UsageReport,
)
from runtime.dialects.meter import broken, garbled
from runtime.dialects.openai_chat import data_url
from runtime.dialects.openai_chat.decode_calls import Calls
from runtime.dialects.openai_chat.decode_tools import WIRE
from runtime.dialects.openai_stream import error_failure, usage_of

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
# The run was ended, the answer was not.
_ABORTED = frozenset({"abort", "error", "insufficient_system_resource", "network_error", "server_error"})

_json = msgspec.json.Decoder()


def new_call_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


class ChatDecoder:
    """`runtime.contract.codec.Decoder`. new_id: mints an id for a call that came without one."""

    def __init__(self, new_id: Callable[[], str] = new_call_id) -> None:
        self._blocks = _Blocks()
        self._calls = Calls(self._blocks.next, new_id)
        self._started = self._stopped = self._failed = self._thought_plainly = False
        self._sounds: list[str] = []

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        if self._failed or data == b"[DONE]":
            return ()
        try:
            chunk = _json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._fail(Failed(garbled(f"an event of the stream is not a chunk: {error}", data)))
        if not isinstance(chunk, dict):
            return self._fail(Failed(garbled("an event of the stream is not an object", data)))
        if chunk.get("error") is not None or name == "error" or chunk.get("object") == "error":
            return self._fail(Failed(error_failure(chunk.get("error") or chunk, data)))
        events: list[Event] = [] if self._started else [self._start(chunk)]
        choice = _first_choice(chunk)
        if choice is not None and not self._stopped:
            self._read(choice, events)
        if not self._failed:
            events += _usage(chunk)
        return events

    def finish(self) -> Sequence[Event]:
        if self._failed or self._stopped:
            return ()
        return self._fail(Failed(broken("the stream ended without a finish reason")))

    def _fail(self, failed: Failed) -> Sequence[Event]:
        self._failed = True
        return (failed,)

    def _start(self, chunk: dict[str, Any]) -> Start:
        self._started = True
        return Start(_string(chunk.get("id")), _string(chunk.get("model")))

    def _read(self, choice: dict[str, Any], events: list[Event]) -> None:
        delta = choice.get("delta")
        delta = choice.get("message") if delta is None else delta
        if isinstance(delta, dict):
            self._delta(delta, events)
        reason = choice.get("finish_reason")
        if reason is None or reason == "":
            return
        if reason in _ABORTED if isinstance(reason, str) else True:
            events += self._fail(Failed(broken(f"the model's run ended with {reason!r}")))
            return
        self._stop(reason, choice, events)

    def _stop(self, reason: str, choice: dict[str, Any], events: list[Event]) -> None:
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
        matched = choice.get("stop_reason")
        extra = {WIRE: {"logprobs": choice["logprobs"]}} if choice.get("logprobs") else {}
        events.append(Stop(finish, reason, _string(matched), extra))

    def _delta(self, delta: dict[str, Any], events: list[Event]) -> None:
        text = delta.get("content")
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        details = delta.get("reasoning_details")
        if thought or details:
            self._think(thought, details, events)
        if text:
            self._say(text, events)
        if delta.get("refusal"):
            events.append(RefusalDelta(str(delta["refusal"])))
        entries = delta.get("tool_calls")
        if isinstance(entries, list):
            self._blocks.close(events)
            for entry in entries:
                events += self._calls.take(entry)
        elif isinstance(delta.get("function_call"), dict):
            events += self._calls.take({"index": 0, "function": delta["function_call"]})
        if len(delta) > 2:
            self._rarely(delta, events)

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

    __slots__ = ("_count", "_index", "_kind", "text")

    def __init__(self) -> None:
        self._count = self._index = self.text = 0
        self._kind = ""

    def next(self) -> int:
        self._count += 1
        return self._count - 1

    def open(self, kind: str, events: list[Event]) -> int:
        if kind != self._kind:
            self.close(events)
            self._kind, self._index = kind, self.next()
            if kind == "text":
                self.text = self._index
        return self._index

    def close(self, events: list[Event]) -> None:
        if self._kind:
            events.append(BlockEnd(self._index))
            self._kind = ""


def _first_choice(chunk: dict[str, Any]) -> dict[str, Any] | None:
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and (choice.get("index") or 0) == 0:
            return choice
    return None


def _usage(chunk: dict[str, Any]) -> Sequence[UsageReport]:
    """Usage stands in the chunk, or in a member that a vendor added (`x_…`)."""
    found = chunk.get("usage")
    if found is None:
        nested = (value for name, value in chunk.items() if name.startswith("x_") and isinstance(value, dict))
        found = next((value["usage"] for value in nested if value.get("usage")), None)
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
