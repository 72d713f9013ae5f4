"""The output items of one answer as they grow from events, and the wire events that report them.

Uninterrupted text is one message; reasoning is an item with one summary part; a call stays open until its block ends, whatever
comes between. Numbers the items; sequence numbers and the response belong to the writer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from runtime.contract.events import (
    ArgumentsDelta,
    BlockEnd,
    Citation,
    Event,
    Logprobs,
    MediaOut,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Stop,
    TextDelta,
    ToolCallStart,
)
from runtime.contract.messages import Reasoning
from runtime.dialects.custom_tools import INPUT, text_of
from runtime.dialects.openai_chat.signatures import Bound, ModelTurn
from runtime.dialects.openai_responses.read_request.tools import Namespaced
from runtime.dialects.openai_responses.signatures import Carried, read_native, write_foreign
from runtime.dialects.openai_responses.words import UNDECODABLE
from runtime.wire import logprobs as openai_logprobs
from runtime.wire.cut_json import breaks_off

Json = dict[str, Any]
WireEvents = list[Json]
"""Events of the wire without their sequence numbers."""

NO_ARGUMENTS = "{}"
# Type of a tool -> type of its calls, prefix of their ids, the member with the arguments and its value while they grow.
_CALLS: Mapping[str, tuple[str, str, str, Any]] = {
    "function": ("function_call", "fc", "arguments", ""),
    "custom": ("custom_tool_call", "ctc", INPUT, ""),
    "tool_search": ("tool_search_call", "tsc", "arguments", {}),
}
_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/webp": "webp", "image/gif": "gif"}


class _Open:
    """An item that grows. item: as it stands in the output, complete once it is closed."""

    __slots__ = ("at", "block", "item", "text")

    def __init__(self, at: int, block: int, item: Json) -> None:
        self.at, self.block, self.item = at, block, item
        self.text: list[str] = []

    def event(self, kind: str, **members: Any) -> Json:
        return {"type": f"response.{kind}", "item_id": self.item["id"], "output_index": self.at, **members}

    def part_event(self, kind: str, **members: Any) -> Json:
        """An event about the last content part of a message."""
        return self.event(kind, content_index=len(self.item["content"]) - 1, **members)


class CalledTool(NamedTuple):
    """A tool as the client knows it. kind: its type. origin: its namespace and its name there; None if it is in none."""

    kind: Literal["function", "custom", "tool_search"] = "function"
    origin: Namespaced | None = None


_PLAIN = CalledTool()
_NO_TOOLS: Mapping[str, CalledTool] = {}


class Output:
    """Takes every event of one answer. tools: by the name under which the model calls them; any other is a function.

    rivals: the most alternatives that are reported of a token; None: all.
    """

    def __init__(
        self, new_id: Callable[[str], str], tools: Mapping[str, CalledTool] = _NO_TOOLS, rivals: int | None = None
    ) -> None:
        self._rivals = rivals
        self.items: list[Json] = []
        self.model: str | None = None
        self._new_id = new_id
        self._tools = tools
        self._message: _Open | None = None
        self._last_message: Json | None = None
        self._reasoning: _Open | None = None
        self._calls: dict[int, _Open] = {}  # block -> open call
        self._signatures: dict[str, str] = {}  # of calls, by id
        self._bound: list[Bound] = []
        self._chars = self._call_count = 0

    def take(self, event: Event) -> WireEvents:
        match event:
            case TextDelta(index=index, text=text):
                return self._text(index, "output_text", text) if text else []
            case RefusalDelta(text=text):
                return self._text(-1, "refusal", text) if text else []
            case ReasoningDelta():
                return self._reason(event)
            case ArgumentsDelta(index=index, text=text) if text and index in self._calls:
                call = self._calls[index]
                call.text.append(text)
                # Free text is reported when it is complete, because its pieces are pieces of JSON.
                plain = call.item["type"] == "function_call"
                return [] if not plain else [call.event("function_call_arguments.delta", delta=text)]
            case ToolCallStart():
                return self._call(event)
            case BlockEnd(index=index) if index in self._calls:
                return self._end_call(self._calls.pop(index), "completed")
            case BlockEnd(index=index) if self._reasoning is not None and self._reasoning.block == index:
                return self._end_reasoning()
            case Citation():
                return self._cite(event)
            case Logprobs(tokens=tokens) if (part := self._last_text()) is not None:
                # They come after their text, in a delta without text. After the message ended: only into the final item.
                written = openai_logprobs.written(tokens, self._rivals)
                part["logprobs"] += written
                opened = self._message
                return [] if opened is None else [opened.part_event("output_text.delta", delta="", logprobs=written)]
            case MediaOut(mime=mime, data=data) if mime in _IMAGES:  # the wire has no place for other media
                return self._image(_IMAGES[mime], data)
            case OpaqueBlock(block=block):
                self._bound.append(Bound(block, self._chars, self._call_count))
                return self._carry(Carried(model=self.model, wire=block.wire, value=block.value))
            case Start(model=model):
                self.model = model or self.model
            case Stop(finish=finish):
                # A truncated answer ends in the item that was being written.
                status = "incomplete" if finish in ("length", "content_filter") else "completed"
                out = [*self._end_reasoning(), *self._end_message(status)]
                for index in sorted(self._calls):
                    out += self._end_call(self._calls.pop(index), status)
                return out
            case _:
                pass
        return []

    @property
    def turn(self) -> ModelTurn:
        """Signatures and reasoning for the next turn, for clients that drop them."""
        return ModelTurn(self.model, tuple(self._bound), dict(self._signatures))

    @property
    def calls(self) -> list[str]:
        return [item["call_id"] for item in self.items if "call_id" in item]

    # Items

    def _add(self, block: int, item: Json) -> tuple[_Open, WireEvents]:
        opened = _Open(len(self.items), block, item)
        self.items.append(item)
        empty = {name: [] if isinstance(value, list) else value for name, value in item.items()}
        return opened, [{"type": "response.output_item.added", "output_index": opened.at, "item": empty}]

    def _done(self, opened: _Open, status: str = "completed") -> WireEvents:
        if "status" in opened.item:
            opened.item["status"] = status
        return [{"type": "response.output_item.done", "output_index": opened.at, "item": opened.item}]

    # Text

    def _text(self, block: int, kind: Literal["output_text", "refusal"], text: str) -> WireEvents:
        """A piece of text, in a message and a part of this kind, which are begun if they are not open."""
        out: WireEvents = []
        opened = self._message
        if opened is None:
            out = self._end_reasoning()
            item = {"type": "message", "id": self._new_id("msg"), "role": "assistant", "status": "in_progress"}
            opened, added = self._add(block, item | {"content": []})
            self._message = opened
            out += added
        parts = opened.item["content"]
        if not parts or parts[-1]["type"] != kind:
            out += self._end_part(opened)
            part: Json = {"type": kind, "text": "", "annotations": [], "logprobs": []}
            if kind == "refusal":
                part = {"type": kind, "refusal": ""}
            parts.append(part)
            out.append(opened.part_event("content_part.added", part=dict(part)))
        opened.text.append(text)
        if kind == "refusal":
            return [*out, opened.part_event("refusal.delta", delta=text)]
        self._chars += len(text)
        return [*out, opened.part_event("output_text.delta", delta=text, logprobs=[])]

    def _end_part(self, opened: _Open) -> WireEvents:
        if not opened.item["content"]:
            return []
        part, text = opened.item["content"][-1], "".join(opened.text)
        opened.text.clear()
        if part["type"] == "refusal":
            part["refusal"] = text
            done = opened.part_event("refusal.done", refusal=text)
        else:
            part["text"] = text
            done = opened.part_event("output_text.done", text=text, logprobs=part["logprobs"])
        return [done, opened.part_event("content_part.done", part=part)]

    def _end_message(self, status: str = "completed") -> WireEvents:
        if self._message is None:
            return []
        out = [*self._end_part(self._message), *self._done(self._message, status)]
        self._last_message, self._message = self._message.item, None
        return out

    def _last_text(self) -> Json | None:
        """The part of text that was written last, also of a message that has ended."""
        item = self._message.item if self._message is not None else self._last_message
        part = item["content"][-1] if item is not None and item["content"] else None
        return part if part is not None and part["type"] == "output_text" else None

    def _cite(self, event: Citation) -> WireEvents:
        """A citation after the end of its message goes only into the final item; one without a range gets an empty range."""
        part = self._last_text()
        if part is None:
            return []
        url = event.url or ""
        note: Json = {"type": "url_citation", "url": url, "title": event.title or url}
        note |= {"start_index": event.start or 0, "end_index": event.end or 0}
        part["annotations"].append(note)
        if self._message is None:
            return []
        place = len(part["annotations"]) - 1
        return [self._message.part_event("output_text.annotation.added", annotation_index=place, annotation=note)]

    # Reasoning

    def _reason(self, event: ReasoningDelta) -> WireEvents:
        out: WireEvents = []
        if self._reasoning is None or self._reasoning.block != event.index:
            if not (event.text or event.signature or event.redacted):
                return []
            out = [*self._end_message(), *self._end_reasoning()]
            item: Json = {"type": "reasoning", "id": self._new_id("rs"), "summary": [], "encrypted_content": None}
            self._reasoning, added = self._add(event.index, item)
            self._bound.append(Bound(Reasoning(), self._chars, self._call_count))
            out += added
        opened = self._reasoning
        if event.text:
            if not opened.text:
                part = {"type": "summary_text", "text": ""}
                out.append(opened.event("reasoning_summary_part.added", summary_index=0, part=part))
            opened.text.append(event.text)
            out.append(opened.event("reasoning_summary_text.delta", summary_index=0, delta=event.text))
        if event.signature or event.redacted:
            self._bind(signature=event.signature, redacted=event.redacted)
            # What a model of this wire encrypted goes back as it was; everything else is carried as foreign.
            own = read_native(event.signature)
            if own is not None:
                opened.item |= {"id": own.id or opened.item["id"], "encrypted_content": own.content}
            else:
                carried = Carried(model=self.model, signature=event.signature, redacted=event.redacted)
                opened.item["encrypted_content"] = write_foreign(carried)
        return out

    def _end_reasoning(self) -> WireEvents:
        opened, self._reasoning = self._reasoning, None
        if opened is None:
            return []
        out: WireEvents = []
        if opened.text:
            text = "".join(opened.text)
            part = {"type": "summary_text", "text": text}
            opened.item["summary"] = [part]
            self._bind(text=text)
            out = [
                opened.event("reasoning_summary_text.done", summary_index=0, text=text),
                opened.event("reasoning_summary_part.done", summary_index=0, part=part),
            ]
        return [*out, *self._done(opened)]

    def _bind(self, text: str = "", signature: str | None = None, redacted: str | None = None) -> None:
        """Adds to the reasoning that the model wants back. Opaque blocks that came meanwhile are left alone."""
        last = self._bound[-1]
        if isinstance(last.part, Reasoning):
            part = last.part
            whole = Reasoning(text or part.text, signature or part.signature, redacted or part.redacted)
            self._bound[-1] = Bound(whole, last.chars, last.calls)

    def _carry(self, carried: Carried) -> WireEvents:
        """A reasoning item that holds nothing but what has to come back."""
        out = [*self._end_message(), *self._end_reasoning()]
        item: Json = {"type": "reasoning", "id": self._new_id("rs"), "summary": []}
        opened, added = self._add(-1, item | {"encrypted_content": write_foreign(carried)})
        return [*out, *added, *self._done(opened)]

    # Calls and images

    def _call(self, event: ToolCallStart) -> WireEvents:
        out = [*self._end_message(), *self._end_reasoning()]
        if event.signature:
            self._signatures[event.id] = event.signature
            out += self._carry(Carried(model=self.model, signature=event.signature, call_id=event.id))
        tool = self._tools.get(event.name, _PLAIN)
        kind, prefix, given, empty = _CALLS[tool.kind]
        item = {"type": kind, "id": self._new_id(prefix), "status": "in_progress", "call_id": event.id}
        if tool.kind == "tool_search":
            item["execution"] = "client"
        elif tool.origin is not None:
            item |= {"name": tool.origin.name, "namespace": tool.origin.namespace}
        else:
            item["name"] = event.name
        self._calls[event.index], added = self._add(event.index, item | {given: empty})
        self._call_count += 1
        return out + added

    def _end_call(self, opened: _Open, status: str) -> WireEvents:
        written = "".join(opened.text)
        if opened.item["type"] == "custom_tool_call":
            text = text_of(written)
            opened.item[INPUT] = text
            out = [
                opened.event("custom_tool_call_input.delta", delta=text),
                opened.event("custom_tool_call_input.done", input=text),
            ]
            return [*out, *self._done(opened, status)]
        if opened.item["type"] == "tool_search_call":
            with contextlib.suppress(*UNDECODABLE):
                opened.item["arguments"] = msgspec.json.decode(written or NO_ARGUMENTS)
            return self._done(opened, status)
        out = []
        if not written.strip():
            written = NO_ARGUMENTS
            out = [opened.event("function_call_arguments.delta", delta=written)]
        opened.item["arguments"] = written
        status = "incomplete" if breaks_off(written) else status
        out.append(opened.event("function_call_arguments.done", arguments=written, name=opened.item["name"]))
        return [*out, *self._done(opened, status)]

    def _image(self, form: str, data: str) -> WireEvents:
        """An image is an item of its own."""
        out = [*self._end_message(), *self._end_reasoning()]
        item = {"type": "image_generation_call", "id": self._new_id("ig"), "status": "in_progress"}
        opened, added = self._add(-1, item | {"result": None, "output_format": form})
        opened.item["result"] = data
        return [*out, *added, opened.event("image_generation_call.completed"), *self._done(opened)]
