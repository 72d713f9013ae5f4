"""The wires of pooling models, OpenAI's embeddings and Jina's rerank: they only pass through, and do not stream."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.contract.failures import Failure
from runtime.dialects.meter import PartialAnswer, WholeMeter
from runtime.dialects.openai_body import check_members, for_model
from runtime.dialects.openai_chat.meter import answer_decoder, error_failure, usage_of
from runtime.dialects.seam import Passing
from runtime.dialects.untranslated import Untranslated
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
class PoolingDialect(Untranslated):
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


EMBEDDINGS = PoolingDialect("openai_embeddings", ("input",))
RERANK = PoolingDialect("rerank", ("query", "documents"))
