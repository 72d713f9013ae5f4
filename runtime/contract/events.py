"""An answer as a stream of events: every decoder yields them, every writer writes them. A whole answer is a fold.

Blocks are numbered in the order they begin (`index`); a block is text, reasoning or a tool call. Blocks may be interleaved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from runtime.contract.failures import Failure
from runtime.contract.messages import Extra, Opaque
from runtime.contract.usage import Usage

Finish = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class Start:
    """id and model as the provider gave them."""

    id: str | None = None
    model: str | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TextDelta:
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """text is empty if only a signature or a redacted block came. signature, redacted: opaque, whole, once."""

    index: int
    text: str = ""
    signature: str | None = None
    redacted: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCallStart:
    """signature: a thought signature bound to the call (Gemini)."""

    index: int
    id: str
    name: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    """A piece of the JSON text of a call's arguments. A call without any has the arguments "{}"."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class BlockEnd:
    """The block is complete. Optional: a writer closes what is open when another begins."""

    index: int


@dataclass(frozen=True, slots=True)
class MediaOut:
    """Media in an answer. data: base64."""

    index: int
    mime: str
    data: str


@dataclass(frozen=True, slots=True)
class Citation:
    """A source of the text block `index`. start, end: characters of the answer's text, None if unknown."""

    index: int
    url: str | None = None
    title: str | None = None
    start: int | None = None
    end: int | None = None
    cited: str | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token's text and natural logarithm of its probability. top: its likeliest rivals, itself perhaps among them."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Log probabilities of the text block `index`: of its tokens since the last such event."""

    index: int
    tokens: tuple[TokenLogprob, ...]


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    text: str


@dataclass(frozen=True, slots=True)
class OpaqueBlock:
    """A block only one wire knows (server tool use and results, …)."""

    index: int
    block: Opaque


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Cumulative: the last one counts."""

    usage: Usage
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stop:
    """Every answer that is whole has one; of several, with content between them, the last one counts.

    raw: the provider's own word. choice: of several answers (n > 1).
    """

    finish: Finish
    raw: str | None = None
    stop_sequence: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer is not whole and will not be."""

    failure: Failure


Event = (
    Start
    | TextDelta
    | ReasoningDelta
    | ToolCallStart
    | ArgumentsDelta
    | BlockEnd
    | MediaOut
    | Citation
    | Logprobs
    | RefusalDelta
    | OpaqueBlock
    | UsageReport
    | Stop
    | Failed
)
