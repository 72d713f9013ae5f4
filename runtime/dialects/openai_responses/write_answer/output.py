"""One answer's output items as they grow from events, and the wire events that tell of them.

Text that is not interrupted is one message; thinking is a reasoning item with one summary part; a call stays open until its
block ends, whatever comes between. Numbers the items, not the events: sequence numbers and the response are the writer's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

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
from runtime.dialects.openai_chat.signatures import Bound, Turn
from runtime.dialects.openai_responses.read_request.tools import INPUT
from runtime.dialects.openai_responses.signatures import Carried, read_native, write_foreign
from runtime.dialects.openai_responses.words import UNDECODABLE
from runtime.wire import logprobs as openai_logprobs

Json = dict[str, Any]
Told = list[Json]
"""Wire events without their sequence numbers."""

NO_ARGUMENTS = "{}"
_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/webp": "webp", "image/gif": "gif"}


class _Open:
    """An item on its way. item: as it stands in the output, complete once it is closed."""

    __slots__ = ("at", "block", "item", "text")

    def __init__(self, at: int, block: int, item: Json) -> None:
        self.at, self.block, self.item = at, block, item
        self.text: list[str] = []

    def about(self, kind: str, **more: Any) -> Json:
        return {"type": f"response.{kind}", "item_id": self.item["id"], "output_index": self.at, **more}


class Output:
    """Takes every event of one answer. custom: names of the tools that are called with free text.

    rivals: at most so many alternatives of a token are told; None: all there are.
    """

    def __init__(self, new_id: Callable[[str], str], custom: Collection[str] = (), rivals: int | None = None) -> None:
        self._rivals = rivals
        self.items: list[Json] = []
        self.model: str | None = None
        self._new_id = new_id
        self._custom = custom
        self._message: _Open | None = None
        self._last_message: Json | None = None
        self._thought: _Open | None = None
        self._calls: dict[int, _Open] = {}
        self._signed: dict[str, str] = {}
        self._bound: list[Bound] = []
        self._chars = 0

    def take(self, event: Event) -> Told:
        match event:
            case TextDelta(index=index, text=text):
                return self._say(index, text) if text else []
            case ReasoningDelta():
                return self._think(event)
            case ArgumentsDelta(index=index, text=text):
                return self._argue(index, text)
            case ToolCallStart():
                return self._call(event)
            case BlockEnd(index=index):
                return self._end(index)
            case RefusalDelta(text=text):
                return self._refuse(text) if text else []
            case Citation():
                return self._cite(event)
            case Logprobs():
                return self._weigh(event)
            case MediaOut(mime=mime, data=data):
                return self._picture(mime, data)
            case OpaqueBlock(block=block):
                self._bound.append(Bound(block, self._chars, self._made))
                return self._carry(Carried(model=self.model, wire=block.wire, value=block.value))
            case Start(model=model):
                self.model = model or self.model
            case Stop(finish=finish):
                return self._close(finish)
            case _:
                pass
        return []

    @property
    def turn(self) -> Turn:
        """What the model will want back, for clients that will not give it back."""
        return Turn(self.model, tuple(self._bound), dict(self._signed))

    @property
    def calls(self) -> list[str]:
        return [item["call_id"] for item in self.items if "call_id" in item]

    @property
    def _made(self) -> int:
        return sum("call_id" in item for item in self.items)

    # items

    def _add(self, block: int, item: Json) -> tuple[_Open, Told]:
        opened = _Open(len(self.items), block, item)
        self.items.append(item)
        empty = {name: [] if isinstance(value, list) else value for name, value in item.items()}
        return opened, [{"type": "response.output_item.added", "output_index": opened.at, "item": empty}]

    def _done(self, opened: _Open, status: str = "completed") -> Told:
        if "status" in opened.item:
            opened.item["status"] = status
        return [{"type": "response.output_item.done", "output_index": opened.at, "item": opened.item}]

    # text

    def _say(self, block: int, text: str) -> Told:
        out = self._part_open(block, "output_text")
        opened = self._message
        if opened is None:
            return out
        opened.text.append(text)
        self._chars += len(text)
        at = len(opened.item["content"]) - 1
        return [*out, opened.about("output_text.delta", content_index=at, delta=text, logprobs=[])]

    def _refuse(self, text: str) -> Told:
        out = self._part_open(-1, "refusal")
        opened = self._message
        if opened is None:
            return out
        opened.text.append(text)
        at = len(opened.item["content"]) - 1
        return [*out, opened.about("refusal.delta", content_index=at, delta=text)]

    def _part_open(self, block: int, kind: str) -> Told:
        """The message and its part of this kind, begun where they are not."""
        out: Told = []
        if self._message is None:
            out = self._thought_over()
            item = {"type": "message", "id": self._new_id("msg"), "role": "assistant", "status": "in_progress"}
            self._message, added = self._add(block, item | {"content": []})
            out += added
        parts = self._message.item["content"]
        if not parts or parts[-1]["type"] != kind:
            out += self._part_over()
            part: Json = {"type": kind, "text": "", "annotations": [], "logprobs": []}
            if kind == "refusal":
                part = {"type": kind, "refusal": ""}
            parts.append(part)
            out.append(self._message.about("content_part.added", content_index=len(parts) - 1, part=dict(part)))
        return out

    def _part_over(self) -> Told:
        opened = self._message
        if opened is None or not opened.item["content"]:
            return []
        part, at = opened.item["content"][-1], len(opened.item["content"]) - 1
        text = "".join(opened.text)
        opened.text.clear()
        if part["type"] == "refusal":
            part["refusal"] = text
            over = opened.about("refusal.done", content_index=at, refusal=text)
        else:
            part["text"] = text
            over = opened.about("output_text.done", content_index=at, text=text, logprobs=part["logprobs"])
        return [over, opened.about("content_part.done", content_index=at, part=part)]

    def _message_over(self, status: str = "completed") -> Told:
        if self._message is None:
            return []
        out = [*self._part_over(), *self._done(self._message, status)]
        self._last_message, self._message = self._message.item, None
        return out

    def _cite(self, event: Citation) -> Told:
        """A source of text that is over stands in the item alone. Where it names no characters, it stands for none."""
        item = self._message.item if self._message is not None else self._last_message
        if item is None or not item["content"] or item["content"][-1]["type"] != "output_text":
            return []
        found = item["content"][-1]["annotations"]
        url = event.url or ""
        note: Json = {"type": "url_citation", "url": url, "title": event.title or url}
        note |= {"start_index": event.start or 0, "end_index": event.end or 0}
        found.append(note)
        if self._message is None:
            return []
        where = {"content_index": len(item["content"]) - 1, "annotation_index": len(found) - 1, "annotation": note}
        return [self._message.about("output_text.annotation.added", **where)]

    def _weigh(self, event: Logprobs) -> Told:
        """Probabilities come behind their text: with a delta that adds none. Of a part that is over: in the item alone."""
        item = self._message.item if self._message is not None else self._last_message
        if item is None or not item["content"] or item["content"][-1]["type"] != "output_text":
            return []
        told = openai_logprobs.written(event.tokens, self._rivals)
        item["content"][-1]["logprobs"] += told
        if self._message is None:
            return []
        at = len(item["content"]) - 1
        return [self._message.about("output_text.delta", content_index=at, delta="", logprobs=told)]

    # thinking

    def _think(self, event: ReasoningDelta) -> Told:
        out: Told = []
        if self._thought is None or self._thought.block != event.index:
            if not (event.text or event.signature or event.redacted):
                return []
            out = [*self._message_over(), *self._thought_over()]
            item: Json = {"type": "reasoning", "id": self._new_id("rs"), "summary": [], "encrypted_content": None}
            self._thought, added = self._add(event.index, item)
            self._bound.append(Bound(Reasoning(), self._chars, self._made))
            out += added
        opened = self._thought
        if event.text:
            out += self._thought_said(opened, event.text)
        if event.signature or event.redacted:
            self._seal(opened, event.signature, event.redacted)
        return out

    def _thought_said(self, opened: _Open, text: str) -> Told:
        out: Told = []
        if not opened.text:
            part = {"type": "summary_text", "text": ""}
            out.append(opened.about("reasoning_summary_part.added", summary_index=0, part=part))
        opened.text.append(text)
        return [*out, opened.about("reasoning_summary_text.delta", summary_index=0, delta=text)]

    def _seal(self, opened: _Open, signature: str | None, redacted: str | None) -> None:
        """What this wire's own models sealed goes back as they gave it; all else is marked."""
        own = read_native(signature)
        if own is not None:
            opened.item["id"], opened.item["encrypted_content"] = own.id or opened.item["id"], own.content
        else:
            sealed = Carried(model=self.model, signature=signature, redacted=redacted)
            opened.item["encrypted_content"] = write_foreign(sealed)
        said = self._bound[-1].part
        if isinstance(said, Reasoning):
            kept = Reasoning("", signature or said.signature, redacted or said.redacted)
            self._bound[-1] = Bound(kept, self._bound[-1].chars, self._bound[-1].calls)

    def _thought_over(self) -> Told:
        opened, self._thought = self._thought, None
        if opened is None:
            return []
        out: Told = []
        if opened.text:
            text = "".join(opened.text)
            part = {"type": "summary_text", "text": text}
            opened.item["summary"] = [part]
            self._told_all(text)
            out = [
                opened.about("reasoning_summary_text.done", summary_index=0, text=text),
                opened.about("reasoning_summary_part.done", summary_index=0, part=part),
            ]
        return [*out, *self._done(opened)]

    def _told_all(self, text: str) -> None:
        last = self._bound[-1]
        if isinstance(last.part, Reasoning):
            part = Reasoning(text, last.part.signature, last.part.redacted)
            self._bound[-1] = Bound(part, last.chars, last.calls)

    def _carry(self, sealed: Carried) -> Told:
        """A reasoning item that holds nothing but what has to come back."""
        out = [*self._message_over(), *self._thought_over()]
        item: Json = {"type": "reasoning", "id": self._new_id("rs"), "summary": []}
        opened, added = self._add(-1, item | {"encrypted_content": write_foreign(sealed)})
        return [*out, *added, *self._done(opened)]

    # calls

    def _call(self, event: ToolCallStart) -> Told:
        out = [*self._message_over(), *self._thought_over()]
        if event.signature:
            self._signed[event.id] = event.signature
            out += self._carry(Carried(model=self.model, signature=event.signature, call_id=event.id))
        custom = event.name in self._custom
        kind, given = ("custom_tool_call", INPUT) if custom else ("function_call", "arguments")
        item = {"type": kind, "id": self._new_id("ctc" if custom else "fc"), "status": "in_progress"}
        self._calls[event.index], added = self._add(
            event.index, item | {"call_id": event.id, "name": event.name, given: ""}
        )
        return out + added

    def _argue(self, block: int, text: str) -> Told:
        """Free text is told when it is complete: until then it is JSON."""
        opened = self._calls.get(block)
        if opened is None or not text:
            return []
        opened.text.append(text)
        custom = opened.item["type"] == "custom_tool_call"
        return [] if custom else [opened.about("function_call_arguments.delta", delta=text)]

    def _end(self, block: int) -> Told:
        if block in self._calls:
            return self._call_over(self._calls.pop(block), "completed")
        if self._thought is not None and self._thought.block == block:
            return self._thought_over()
        return []

    def _call_over(self, opened: _Open, status: str) -> Told:
        written = "".join(opened.text)
        if opened.item["type"] == "custom_tool_call":
            text = _free_text(written)
            opened.item[INPUT] = text
            out = [
                opened.about("custom_tool_call_input.delta", delta=text),
                opened.about("custom_tool_call_input.done", input=text),
            ]
            return [*out, *self._done(opened, status)]
        out = []
        if not written.strip():
            written = NO_ARGUMENTS
            out = [opened.about("function_call_arguments.delta", delta=written)]
        opened.item["arguments"] = written
        name = opened.item["name"]
        out.append(opened.about("function_call_arguments.done", arguments=written, name=name))
        return [*out, *self._done(opened, status)]

    # media and the end

    def _picture(self, mime: str, data: str) -> Told:
        """Pictures have an item of their own; the wire has no place for other media."""
        form = _IMAGES.get(mime)
        if form is None:
            return []
        out = [*self._message_over(), *self._thought_over()]
        item = {"type": "image_generation_call", "id": self._new_id("ig"), "status": "in_progress"}
        opened, added = self._add(-1, item | {"result": None, "output_format": form})
        opened.item["result"] = data
        return [*out, *added, opened.about("image_generation_call.completed"), *self._done(opened)]

    def _close(self, finish: str) -> Told:
        """A cut ends in the item that was being written."""
        status = "incomplete" if finish in ("length", "content_filter") else "completed"
        out = [*self._thought_over(), *self._message_over(status)]
        for block in sorted(self._calls):
            out += self._call_over(self._calls.pop(block), status)
        return out


def _free_text(arguments: str) -> str:
    """The text a custom tool was called with; the arguments as they are where they hold none."""
    try:
        value = msgspec.json.decode(arguments)
    except UNDECODABLE:
        return arguments
    text = value.get(INPUT) if isinstance(value, Mapping) else None
    return text if isinstance(text, str) else arguments
