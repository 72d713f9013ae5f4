"""The wires of pooling models, OpenAI's embeddings and Jina's rerank: they only pass through, and do not stream."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.contract.codec import Unsupported
from runtime.contract.failures import Failure
from runtime.contract.messages import Request
from runtime.dialects import openai_errors
from runtime.dialects.meter import PartialAnswer, WholeMeter
from runtime.dialects.openai_body import check_members, for_model
from runtime.dialects.openai_chat.meter import answer_decoder, error_failure, usage_of
from runtime.dialects.seam import Passing
from runtime.dialects.translating import Writer
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import RawBody


class PoolingMeter(WholeMeter):
    """Meters one list of embeddings or of scores (see `Meter`)."""

    __slots__ = ()

    def read(self, body: bytes) -> Failure | None:
        """See `WholeMeter.read`."""
        answer = answer_decoder.decode(body)
        if answer.error is not None:
            return error_failure(answer.error, body)
        self.model = answer.model
        self.usage = usage_of(answer.usage)
        return None


@dataclass(frozen=True, slots=True)
class PoolingDialect:
    """See `runtime.dialects.seam.Dialect`. needed: the members that a body must have."""

    name: str
    needed: tuple[str, ...]

    def check(self, body: RawBody) -> None:
        check_members(body, *self.needed)

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
        """See `Dialect.passing`."""
        return Passing(for_model(body, model), PoolingMeter())

    def continuation(self, body: RawBody, partial: PartialAnswer) -> RawBody | None:
        return None

    def read_request(self, body: RawBody) -> Request:
        raise Unsupported(f"{self.name} cannot be translated for this target")

    def write_answer(self, request: Request) -> Writer:
        raise Unsupported(f"{self.name} cannot be translated for this target")

    def error_body(self, error: ApiError) -> bytes:
        return openai_errors.error_body(error)

    def error_event(self, error: ApiError) -> bytes:
        return openai_errors.error_event(error)


EMBEDDINGS = PoolingDialect("openai_embeddings", ("input",))
RERANK = PoolingDialect("rerank", ("query", "documents"))
