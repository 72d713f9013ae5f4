"""The codec seam: one wire of one kind of provider, both ways. No I/O, so that recordings test it whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from runtime.contract.events import Event
from runtime.contract.failures import Failure
from runtime.contract.hop import HttpCall
from runtime.contract.messages import Request
from runtime.contract.targets import Target


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request as it goes upstream. dropped: hints the target cannot take, by the client's (OpenAI's) parameter names."""

    call: HttpCall
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fit:
    """Changes to a client's body, so that a target of the same wire takes it.

    put: members with their new values; drop: members left out; dropped: those of both that were lost or weakened. developer:
    False if the target does not know that role. known: the members of a chat message, where it has others that the target
    refuses; echo: the member for reasoning, where some stands in another; else None.
    """

    put: Mapping[str, Any] = field(default_factory=dict)
    drop: frozenset[str] = frozenset()
    dropped: tuple[str, ...] = ()
    developer: bool = True
    known: frozenset[str] | None = None
    echo: str | None = None


AS_IT_IS = Fit()


class Unsupported(Exception):
    """The target cannot do what the request means (semantics, never a hint): the next target is asked, or the caller refused.

    param: the client's parameter at fault, OpenAI's name.
    """

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class Decoder(Protocol):
    """Fresh per answer, stateful. Never raises on garbage: it yields `Failed`."""

    @property
    def closed(self) -> bool:
        """True once the wire's closing mark has come: nothing follows. A wire without one never closes."""
        ...

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        """One server-sent event: its name ("" without one) and its data."""
        ...

    def finish(self) -> Sequence[Event]:
        """The stream is over: the pending events; `Failed` if no `Stop` came."""
        ...


class Wire(Protocol):
    """A wire's addresses and errors. Pure."""

    def path(self, dialect: str) -> str:
        """The path of the dialect below the target's base ("/chat/completions")."""
        ...

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """The verdict over an answer that is an error, or over an error event inside a stream (status 200)."""
        ...


class Codec(Wire, Protocol):
    """Translates requests and answers. Always asks for a stream; whole answers are folded from it."""

    def encode(self, request: Request, target: Target) -> Encoded:
        """Raises Unsupported."""
        ...

    def decoder(self, request: Request) -> Decoder: ...

    def fit(self, dialect: str, body: Mapping[str, Any], target: Target, *, pinned: bool) -> Fit:
        """The changes to a client's body that passes to this target. pinned: the client named it, and keeps its members."""
        ...

    def headers(self, client: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """The client's headers that go upstream when its bytes pass through (versions, betas), lower-case names."""
        ...
