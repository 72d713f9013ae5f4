"""What a client's wire can do for the runtime: the seam between the door, dispatch and the bytes of a client.

One value per wire, stateless; what has state (meters, writers) is made fresh per answer.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from runtime.contract.messages import Request
from runtime.dialects.meter import Before, Meter
from runtime.dialects.translating import Writer
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import RawBody

HINTS = "hearth"  # the body member that is ours and goes no further


class Passing(NamedTuple):
    """A body that goes to a target of the same wire, and what reads its answer."""

    body: bytes
    meter: Meter


class Dialect(Protocol):
    @property
    def name(self) -> str: ...

    def check(self, body: RawBody) -> None:
        """Refuses what no target could answer. Raises BadBody."""
        ...

    def streams(self, body: RawBody) -> bool:
        """Whether the client wants a stream."""
        ...

    def passing(self, body: RawBody, model: str, *, keep_text: bool = False, before: Before | None = None) -> Passing:
        """The client's bytes for a target that calls the model `model`: only what must change is spliced.

        keep_text: the answer may have to be gone on with; before: this body goes on with that.
        """
        ...

    def continuation(self, body: RawBody, before: Before) -> RawBody | None:
        """The body that asks the same model to go on after a cut; None where it cannot be asked."""
        ...

    def decode(self, body: RawBody) -> Request:
        """What the body asks for, for a target of another wire. Raises BadBody, Unsupported."""
        ...

    def writer(self, request: Request) -> Writer:
        """Writes a translated answer: a stream where `request.stream`, else whole."""
        ...

    def error_body(self, error: ApiError) -> bytes: ...

    def error_event(self, error: ApiError) -> bytes:
        """The last event of a stream that cannot go on. No closing mark follows it."""
        ...
