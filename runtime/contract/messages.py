"""A generating request as values: every dialect's body is read to it, and every codec writes its own from it.

Rich enough that a translation loses nothing it declares to support. `Extra` carries the members that only one wire knows,
under that wire's name, so that a round trip over the same wire gives them back untouched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

Json = Any
Extra = Mapping[str, Json]
"""wire name ("anthropic_messages", "gemini", "openai_chat") -> members of this value that only that wire knows."""

NO_EXTRA: Extra = {}


class Role(StrEnum):
    SYSTEM = "system"  # developer too; may stand anywhere in a conversation
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Cache:
    """The client wants the prefix up to and including this value cached. ttl: "5m" or "1h", None for the wire's own."""

    ttl: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    cache: Cache | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Media:
    """An image, a sound, a video or a document. Exactly one of data, url, file_id is set.

    kind: image | audio | video | document. mime: as given or read off the data URL, "" if unknown. data: base64 text,
    standard alphabet, as the client sent it. name: a file's name. detail: OpenAI's low | high | auto.
    """

    kind: Literal["image", "audio", "video", "document"]
    mime: str = ""
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    name: str | None = None
    detail: str | None = None
    cache: Cache | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A model's thinking, handed back to the model that made it. signature: opaque. redacted: opaque, instead of text."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """arguments: JSON text of an object, as written; "{}" for none. signature: a thought signature bound to this call."""

    id: str
    name: str
    arguments: str
    signature: str | None = None
    cache: Cache | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer to a call, in a user message. name: of the tool, if the wire or the history has it."""

    call_id: str
    content: tuple[Text | Media, ...]
    name: str | None = None
    is_error: bool = False
    cache: Cache | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The words of a model that declines to answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """A block only one wire knows (server tools, compaction, …): kept for that wire, refused or dropped by any other."""

    wire: str
    value: Json


Part = Text | Media | Reasoning | ToolCall | ToolResult | Refusal | Opaque


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. Tool results stand in user messages; consecutive messages of one role are allowed."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call. schema: JSON Schema of its arguments; None if the client gave none."""

    name: str
    description: str | None = None
    schema: Json = None
    strict: bool | None = None
    cache: Cache | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """mode named: `name` must be called. allowed: restricts auto and required to these names; empty: all."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str | None = None
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """Structured output. schema None: any JSON object."""

    schema: Json = None
    name: str = "answer"
    strict: bool | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """The amount of reasoning. effort: none | minimal | low | medium | high | xhigh | max, or None; budget: tokens, or None.

    show: True if the client wants to see it.
    """

    effort: str | None = None
    budget: int | None = None
    show: bool | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A generating request. A member that is None was not set by the client.

    extra: whole-request members only one wire knows, by that wire's name (OpenAI's seed, logit_bias, … stand in their own
    field where two wires share them). prompt_tokens: the estimated length of the prompt; never reported as its counted length.
    dropped: names of the client's parameters that its own wire's reader lost or weakened.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: int | None = None  # 0: of the chosen tokens alone; else how many alternatives
    logit_bias: Mapping[str, float] | None = None
    format: Format | None = None
    thinking: Thinking | None = None
    verbosity: str | None = None
    user: str | None = None
    service_tier: str | None = None
    metadata: Mapping[str, str] | None = None
    stream: bool = False
    include_usage: bool = False
    prompt_tokens: int = 0
    dropped: tuple[str, ...] = ()
    extra: Extra = field(default_factory=dict)

    @property
    def demands_vendor_tool(self) -> bool:
        """True if the model must call a tool that is not among `tools`: one that only its vendor can run."""
        choice = self.tool_choice
        if choice is None or choice.mode not in ("required", "named"):
            return False
        return not self.tools if choice.mode == "required" else all(tool.name != choice.name for tool in self.tools)
