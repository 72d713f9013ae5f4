"""What is known of a model that can answer: facts, never state."""

from __future__ import annotations

from dataclasses import dataclass, field

LOCAL = "local"  # the provider of the box's own engine

TEXT = "text"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do. None means not known, which never excludes it."""

    modalities: frozenset[str] = frozenset({TEXT})  # text, image, audio, video, pdf
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    tools: bool = True
    structured_output: bool = True
    logprobs: bool = True
    chat: bool = True
    completions: bool = False
    embeddings: bool = False


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds."""

    connect: float = 5.0
    first_token: float = 15.0
    idle: float = 20.0
    total: float = 300.0


@dataclass(frozen=True, slots=True)
class Target:
    """One configured model: the unit of a plan.

    name: its name in the settings, or PROVIDER/MODEL for one that is not configured.
    model: the id sent upstream.
    certified: what its contract allows ("hipaa", "zdr").
    on_box: data sent to it never leaves this machine.
    dialects: wires it speaks itself, so that bytes pass through.
    """

    name: str
    provider: str
    model: str
    capabilities: Capabilities = Capabilities()
    certified: frozenset[str] = frozenset()
    on_box: bool = False
    dialects: frozenset[str] = frozenset()
    timeouts: Timeouts = Timeouts()
    price: Price | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def local(self) -> bool:
        return self.provider == LOCAL

    @property
    def label(self) -> str:
        """PROVIDER/MODEL, as `x-hearth-target` shows it."""
        return f"{self.provider}/{self.model}"
