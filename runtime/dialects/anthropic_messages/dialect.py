"""Anthropic's messages wire at the door: what passes through, and what is translated."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from runtime.contract.messages import Request
from runtime.dialects.anthropic_messages import counting, errors
from runtime.dialects.anthropic_messages.check import check_body, check_limit
from runtime.dialects.anthropic_messages.fold import MessageFold
from runtime.dialects.anthropic_messages.meter import MessagesStreamMeter, MessagesWholeMeter
from runtime.dialects.anthropic_messages.read_request import read_request
from runtime.dialects.anthropic_messages.words import NAME
from runtime.dialects.anthropic_messages.write_answer import MessagesStreamWriter, MessagesWholeWriter
from runtime.dialects.anthropic_messages.write_answer.composer import Composer
from runtime.dialects.folded import FoldedMeter
from runtime.dialects.meter import PartialAnswer
from runtime.dialects.seam import Passing
from runtime.dialects.translating import Writer
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import RawBody


@dataclass(frozen=True, slots=True)
class AnthropicMessages:
    """See `runtime.dialects.seam.Dialect`. new_id: a fresh id for answers and calls without one."""

    new_id: Callable[[], str] = lambda: secrets.token_hex(12)

    @property
    def name(self) -> str:
        return NAME

    def check(self, body: RawBody) -> None:
        check_body(body.data)
        check_limit(body.data)

    def streams(self, body: RawBody) -> bool:
        return body.data.get("stream") is True

    def passing(
        self,
        body: RawBody,
        model: str,
        *,
        keep_text: bool = False,
        partial: PartialAnswer | None = None,
        fold: bool = False,
    ) -> Passing:
        """See `Dialect.passing`. Foreign blocks are left out, because this wire's models refuse them."""
        if self.streams(body):
            return Passing(counting.passing(body, model), MessagesStreamMeter(), True)
        if not fold:
            return Passing(counting.passing(body, model), MessagesWholeMeter())
        folded = FoldedMeter(MessagesStreamMeter(), MessageFold())
        return Passing(counting.passing(body, model, stream=True), folded, True)

    def continuation(self, body: RawBody, partial: PartialAnswer) -> RawBody | None:
        """None, because current models of this wire refuse a partial answer."""
        return None

    def read_request(self, body: RawBody) -> Request:
        return read_request(body, stream=self.streams(body))

    def write_answer(self, request: Request) -> Writer:
        hidden = request.thinking is not None and request.thinking.show is False
        composer = Composer(request.model, self.new_id, show=not hidden, expected=request.prompt_tokens)
        return MessagesStreamWriter(composer) if request.stream else MessagesWholeWriter(composer)

    def error_body(self, error: ApiError) -> bytes:
        return errors.error_body(error)

    def error_event(self, error: ApiError) -> bytes:
        return errors.error_event(error)


MESSAGES = AnthropicMessages()
