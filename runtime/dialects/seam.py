"""A client's wire: the seam between the door, dispatch and the bytes of a client.

One stateless value per wire; meters and writers, which have state, are made fresh per answer.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from runtime.contract.messages import Request
from runtime.dialects.meter import Meter, PartialAnswer
from runtime.dialects.translating import Writer
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import RawBody

HINTS = "hearth"  # the body member that is Hearth's own and never goes upstream


class Passing(NamedTuple):
    """A body for a target of the same wire, and the meter of its answer. streamed: it asks for a stream."""

    body: bytes
    meter: Meter
    streamed: bool = False


class Dialect(Protocol):
    """One client wire."""

    @property
    def name(self) -> str: ...

    def check(self, body: RawBody) -> None:
        """Refuses a body that no target could answer. Raises BadBody."""
        ...

    def streams(self, body: RawBody) -> bool:
        """True if the client wants a stream."""
        ...

    def passing(
        self,
        body: RawBody,
        model: str,
        *,
        keep_text: bool = False,
        partial: PartialAnswer | None = None,
        fold: bool = False,
    ) -> Passing:
        """The client's bytes for a target that calls the model `model`: only what must change is spliced.

        keep_text: keep the text, so that a cut answer can be resumed. partial: the answer that this body resumes. fold: ask
        for a stream even where the client wants one body, and fold it, if this body can be streamed.
        """
        ...

    def continuation(self, body: RawBody, partial: PartialAnswer) -> RawBody | None:
        """The body that asks the same model to resume a cut answer; None if it cannot be resumed."""
        ...

    def read_request(self, body: RawBody) -> Request:
        """The body as a Request, for a target of another wire. Raises BadBody, Unsupported."""
        ...

    def write_answer(self, request: Request) -> Writer:
        """A writer of a translated answer: a stream if `request.stream`, else whole."""
        ...

    def error_body(self, error: ApiError) -> bytes:
        """The whole body of an answer that failed."""
        ...

    def error_event(self, error: ApiError) -> bytes:
        """The last event of a stream that broke off. No closing mark follows it."""
        ...
