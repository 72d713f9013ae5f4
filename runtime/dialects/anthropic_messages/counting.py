"""`/v1/messages/count_tokens` as a dialect of its own: a body that passes through, and an answer that is one number."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from runtime.contract.codec import Unsupported
from runtime.contract.failures import Failure
from runtime.contract.messages import Request
from runtime.contract.usage import Usage
from runtime.dialects.anthropic_messages import errors
from runtime.dialects.anthropic_messages.check import check_body
from runtime.dialects.anthropic_messages.signatures import without_foreign
from runtime.dialects.meter import PartialAnswer, WholeMeter
from runtime.dialects.seam import HINTS, Passing
from runtime.dialects.translating import Writer
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import RawBody

PATH = "/v1/messages/count_tokens"
NAME = "anthropic_count_tokens"


class _Counted(msgspec.Struct):
    input_tokens: int


_counted = msgspec.json.Decoder(_Counted)


def passing(body: RawBody, model: str, *, stream: bool = False) -> bytes:
    """The client's bytes for a target of this wire that calls the model `model`. stream: as if a stream were wanted."""
    put = {"model": msgspec.json.encode(model)} | ({"stream": b"true"} if stream else {})
    cleaned = without_foreign(body)
    if cleaned is not None:
        put["messages"] = cleaned
    return body.spliced(put, (HINTS,))


def estimated(tokens: int) -> bytes:
    """The answer for a target that does not count."""
    return msgspec.json.encode({"input_tokens": tokens})


class CountMeter(WholeMeter):
    """Reads the count a target gave. Nothing was generated, and counting is free: there is no usage."""

    def read(self, body: bytes) -> Failure | None:
        _counted.decode(body)
        self.usage = Usage(0, 0)
        return None


@dataclass(frozen=True, slots=True)
class CountTokens:
    """See `runtime.dialects.seam.Dialect`. Targets of another wire cannot count for it."""

    @property
    def name(self) -> str:
        return NAME

    def check(self, body: RawBody) -> None:
        """As for a message, but without a limit on the answer. Raises BadBody."""
        check_body(body.data)

    def streams(self, body: RawBody) -> bool:
        return False

    def passing(
        self,
        body: RawBody,
        model: str,
        *,
        keep_text: bool = False,
        partial: PartialAnswer | None = None,
        fold: bool = False,
    ) -> Passing:
        return Passing(passing(body, model), CountMeter())

    def continuation(self, body: RawBody, partial: PartialAnswer) -> RawBody | None:
        return None

    def read_request(self, body: RawBody) -> Request:
        raise Unsupported("tokens are counted on the wire they are asked for on")

    def write_answer(self, request: Request) -> Writer:
        raise Unsupported("tokens are counted on the wire they are asked for on")

    def error_body(self, error: ApiError) -> bytes:
        return errors.error_body(error)

    def error_event(self, error: ApiError) -> bytes:
        return errors.error_event(error)


COUNT_TOKENS = CountTokens()
