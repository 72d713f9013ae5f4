"""The chat wire as a client dialect: bytes that pass through, and both ways of a translation."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.contract.messages import Request
from runtime.dialects.meter import PartialAnswer
from runtime.dialects.openai import OpenAIDialect
from runtime.dialects.openai_chat.passing import without_ours
from runtime.dialects.openai_chat.read_request import read_request
from runtime.dialects.openai_chat.signatures import SignatureCache
from runtime.dialects.openai_chat.write_answer import write_answer
from runtime.dialects.seam import Passing
from runtime.dialects.translating import Writer
from runtime.wire.raw_body import RawBody


@dataclass(frozen=True, slots=True)
class ChatDialect(OpenAIDialect):
    """`runtime.dialects.seam.Dialect`. wall: unix seconds. signatures: what models want back from clients that forget."""

    name: str = "openai_chat"
    needs: str = "messages"
    wall: Callable[[], float] = lambda: 0.0
    signatures: SignatureCache = field(default_factory=SignatureCache)

    def passing(
        self, body: RawBody, model: str, *, keep_text: bool = False, partial: PartialAnswer | None = None
    ) -> Passing:
        """What a translated answer gave the client for its own model stays behind."""
        clean = without_ours(body)
        return OpenAIDialect.passing(self, clean, model, keep_text=keep_text, partial=partial)

    def read_request(self, body: RawBody) -> Request:
        return read_request(body, self.signatures)

    def write_answer(self, request: Request) -> Writer:
        return write_answer(request, f"chatcmpl-{uuid.uuid4().hex}", int(self.wall()), self.signatures)
