"""A target made callable: the wire it speaks and the lanes that lead to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from runtime.contract.failures import Failure
from runtime.contract.hop import Hop
from runtime.contract.targets import Target


class Wire(Protocol):
    """What a codec knows about its errors and addresses. Pure."""

    def path(self, dialect: str) -> str:
        """Where the dialect is spoken, below the target's base ("/chat/completions")."""
        ...

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """The verdict over an answer that is an error, or over an error event inside a stream (status 200)."""
        ...


class Lane(Protocol):
    """One process that serves a target: a replica of the engine, or a vendor's endpoint."""

    @property
    def name(self) -> str: ...

    @property
    def ready(self) -> bool: ...

    @property
    def hop(self) -> Hop: ...

    @property
    def model(self) -> str:
        """The model id this process answers to."""
        ...


class Backend(Protocol):
    """All lanes of a target are the same model: changing lane is not changing target."""

    @property
    def target(self) -> Target: ...

    @property
    def wire(self) -> Wire: ...

    @property
    def lanes(self) -> Sequence[Lane]: ...
