"""The chat wire as a client dialect: bytes that pass through, and both ways of a translation."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.contract.messages import Request
from runtime.dialects import openai_errors
from runtime.dialects.folded import FoldedMeter
from runtime.dialects.meter import Meter, PartialAnswer
from runtime.dialects.openai_body import asks_usage, check_members, for_model
from runtime.dialects.openai_chat.continuation import continuation
from runtime.dialects.openai_chat.fold import ChatFold
from runtime.dialects.openai_chat.meter import ChatStreamMeter, ChatWholeMeter
from runtime.dialects.openai_chat.own_members import IN_JSON, without_own_members
from runtime.dialects.openai_chat.read_request import read_request
from runtime.dialects.openai_chat.signatures import SignatureCache
from runtime.dialects.openai_chat.write_answer import write_answer
from runtime.dialects.seam import Passing
from runtime.dialects.translating import Writer
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody


@dataclass(frozen=True, slots=True)
class ChatDialect:
    """See `runtime.dialects.seam.Dialect`.

    wall: unix seconds. signatures: a cache of reasoning signatures for clients that drop unknown members.
    """

    name: str = "openai_chat"
    wall: Callable[[], float] = time.time
    signatures: SignatureCache = field(default_factory=SignatureCache)

    def check(self, body: RawBody) -> None:
        check_members(body, "messages")
        messages = body.data["messages"]
        if not isinstance(messages, list) or not messages:
            raise BadBody("'messages' must be a list with at least one message", "messages")
        for place, message in enumerate(messages):
            if not isinstance(message, dict) or not isinstance(message.get("role"), str):
                raise BadBody("a message must be an object with a role", f"messages[{place}]")

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
        """See `Dialect.passing`. Members that Hearth added to earlier answers are taken out."""
        if IN_JSON in body.raw:
            body = without_own_members(body)
        choices = body.data.get("n") or 1
        if body.data.get("stream") is not True:
            if not fold or body.data.get("audio"):  # sound is streamed in other formats than it is given in whole
                return Passing(for_model(body, model), ChatWholeMeter())
            folded = FoldedMeter(ChatStreamMeter(choices=choices, hide_usage=False), ChatFold())
            return Passing(for_model(body, model, with_usage=True, stream=True), folded, True)
        asked = asks_usage(body)
        meter: Meter = ChatStreamMeter(choices=choices, hide_usage=not asked, keep_text=keep_text, partial=partial)
        return Passing(for_model(body, model, with_usage=not asked), meter, True)

    def continuation(self, body: RawBody, partial: PartialAnswer) -> RawBody | None:
        return continuation(body, partial)

    def read_request(self, body: RawBody) -> Request:
        return read_request(body, self.signatures)

    def write_answer(self, request: Request) -> Writer:
        return write_answer(request, f"chatcmpl-{uuid.uuid4().hex}", int(self.wall()), self.signatures)

    def error_body(self, error: ApiError) -> bytes:
        return openai_errors.error_body(error)

    def error_event(self, error: ApiError) -> bytes:
        return openai_errors.error_event(error)


CHAT = ChatDialect()
