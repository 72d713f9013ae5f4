"""A target made callable: the wire it speaks and the lanes that lead to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from runtime.contract.codec import Codec
from runtime.contract.guard import Cargo
from runtime.contract.hop import Hop
from runtime.contract.messages import Request
from runtime.contract.targets import Target


class Lane(Protocol):
    """One process that serves a target: a replica of the engine, or a vendor's endpoint."""

    @property
    def name(self) -> str: ...

    @property
    def ready(self) -> bool: ...

    @property
    def hop(self) -> Hop: ...

    @property
    def slots(self) -> int | None:
        """Requests this process runs at a time; None if unknown."""
        ...

    @property
    def model(self) -> str:
        """The model id this process answers to."""
        ...


class Uploads(Protocol):
    """Uploads of media too large for a body, to the account of a target."""

    async def settled(self, request: Request, cargo: Cargo, *, connect_s: float) -> Request:
        """The request with its media uploaded. cargo: the request's, shown to the guard. Raises HopError, Unsupported."""
        ...


class Backend(Protocol):
    """A target with its codec and lanes. All lanes are the same model: changing lane is not changing target."""

    @property
    def target(self) -> Target: ...

    @property
    def codec(self) -> Codec: ...

    @property
    def lanes(self) -> Sequence[Lane]: ...

    @property
    def uploads(self) -> Uploads | None: ...
