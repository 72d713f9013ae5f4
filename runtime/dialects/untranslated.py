"""The half of `runtime.dialects.seam.Dialect` that OpenAI's wires without a translation share."""

from __future__ import annotations

from runtime.contract.codec import Unsupported
from runtime.contract.messages import Request
from runtime.dialects import openai_errors
from runtime.dialects.meter import PartialAnswer
from runtime.dialects.translating import Writer
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import RawBody


class Untranslated:
    """A base class: requests go to targets of the same wire alone, and no cut answer is continued."""

    __slots__ = ()
    name: str

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
