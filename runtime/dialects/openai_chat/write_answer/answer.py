"""One translated answer as it grows from events: what a whole body needs, and what must come back with the next turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.contract.events import (
    ArgumentsDelta,
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
    TokenLogprob,
    ToolCallStart,
    UsageReport,
)
from runtime.contract.messages import Reasoning, Request
from runtime.contract.usage import Usage
from runtime.dialects.custom_tools import CUSTOM, INPUT, text_of
from runtime.dialects.openai_chat.signatures import (
    Bound,
    ModelTurn,
    SignatureCache,
    Thread,
    call_extra,
    call_key,
    origin,
)
from runtime.wire import data_url

NO_ARGUMENTS = "{}"


class Call:
    """A tool call. place: its index among the calls."""

    __slots__ = ("arguments", "id", "name", "place", "signature")

    def __init__(self, place: int, start: ToolCallStart) -> None:
        self.place, self.id, self.name, self.signature = place, start.id, start.name, start.signature
        self.arguments: list[str] = []


class _Thought:
    """A block of reasoning in the making, and its place in the turn."""

    __slots__ = ("calls", "chars", "redacted", "signature", "text")

    def __init__(self, chars: int, calls: int) -> None:
        self.chars, self.calls = chars, calls
        self.text: list[str] = []
        self.signature: str | None = None
        self.redacted: str | None = None


class ChatAnswer:
    """Takes every event of one answer."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.model: str | None = None
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.reasoning: list[str] = []
        self.calls: dict[int, Call] = {}  # by block
        self.annotations: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []
        self.files: list[dict[str, Any]] = []
        self.audio: MediaOut | None = None
        self.logprobs: list[TokenLogprob] = []
        self.usage: Usage | None = None
        self.stop: Stop | None = None
        self._chars = 0
        self._thoughts: dict[int, _Thought | Bound] = {}

    def take(self, event: Event) -> None:
        match event:
            case TextDelta(text=text):
                self.say(text)
            case ReasoningDelta(index=index, text=text, signature=signature, redacted=redacted):
                thought = self._thoughts.get(index)
                if not isinstance(thought, _Thought):
                    thought = self._thoughts[index] = _Thought(self._chars, len(self.calls))
                if text:
                    self.reasoning.append(text)
                    thought.text.append(text)
                thought.signature = signature or thought.signature
                thought.redacted = redacted or thought.redacted
            case ArgumentsDelta(index=index, text=text):
                if index in self.calls:
                    self.calls[index].arguments.append(text)
            case ToolCallStart(index=index):
                self.calls[index] = Call(len(self.calls), event)
            case Start(id=answer_id, model=model):
                self.id, self.model = answer_id or self.id, model or self.model
            case RefusalDelta(text=text):
                self.refusal.append(text)
            case Citation():
                self.annotations.append(annotation(event))
            case Logprobs(tokens=tokens):
                self.logprobs += tokens
            case MediaOut(mime=mime, data=data):
                url, kind = data_url.write(mime, data), data_url.kind(mime)
                if kind == "audio":
                    self.audio = event
                elif kind == "image":
                    self.images.append({"type": "image_url", "image_url": {"url": url}, "index": len(self.images)})
                else:
                    self.files.append({"type": "file", "file": {"file_data": url}, "index": len(self.files)})
            case OpaqueBlock(index=index, block=block):
                self._thoughts[index] = Bound(block, self._chars, len(self.calls))
            case UsageReport(usage=usage):
                self.usage = usage
            case Stop():
                self.stop = event
            case _:
                pass

    def say(self, text: str) -> None:
        """Takes a piece of text."""
        self.text.append(text)
        self._chars += len(text)

    @property
    def turn(self) -> ModelTurn:
        """The reasoning and the signatures that the model wants back."""
        bound: list[Bound] = []
        made_by = origin(self.model)
        for each in self._thoughts.values():
            if isinstance(each, Bound):
                bound.append(each)
                continue
            part = Reasoning("".join(each.text), each.signature, each.redacted, made_by)
            bound.append(Bound(part, each.chars, each.calls))
        signatures = {call.id: call.signature for call in self.calls.values() if call.signature}
        return ModelTurn(self.model, tuple(bound), signatures)

    def remember(self, request: Request, signatures: SignatureCache | None, turn: ModelTurn) -> None:
        """Keeps the turn for clients that will not give it back."""
        if signatures is None or not turn.worth_keeping:
            return
        if self.calls:
            signatures.remember([call_key(call.id) for call in self.calls.values()], turn)
        elif self.text:
            signatures.remember([Thread(request.messages).key("".join(self.text))], turn)


def annotation(event: Citation) -> dict[str, Any]:
    """A citation; one without a range gets an empty one, 0 to 0."""
    url = event.url or ""
    cited = {
        "url": url,
        "title": event.title or url,
        "start_index": event.start or 0,
        "end_index": event.end or 0,
    }
    if event.cited:
        cited["content"] = event.cited
    return {"type": "url_citation", "url_citation": cited}


def call_head(call: Call, arguments: str, *, custom: bool = False) -> dict[str, Any]:
    """A call as a member of a message. custom: of a tool that is called with free text."""
    head: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
    if custom:
        head = {
            "id": call.id,
            "type": CUSTOM,
            CUSTOM: {"name": call.name, INPUT: "" if arguments == NO_ARGUMENTS else text_of(arguments)},
        }
    if call.signature:
        head["extra_content"] = call_extra(call.signature)
    return head


def usage_members(usage: Usage) -> Mapping[str, Any]:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
