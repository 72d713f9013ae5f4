"""The chat wire as a client dialect: bytes that pass through, and both ways of a translation."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.contract.messages import Request
from runtime.dialects.dialect import Passing
from runtime.dialects.meter import Before
from runtime.dialects.openai import OpenAIDialect
from runtime.dialects.openai_chat.decode import decode
from runtime.dialects.openai_chat.passing import without_ours
from runtime.dialects.openai_chat.signatures import SignatureCache
from runtime.dialects.openai_chat.writer import writer
from runtime.dialects.raw_body import RawBody
from runtime.dialects.translation import Writer


@dataclass(frozen=True, slots=True)
class ChatDialect(OpenAIDialect):
    """`runtime.dialects.dialect.Dialect`. wall: unix seconds. signatures: what models want back from clients that forget."""

    name: str = "openai_chat"
    needs: str = "messages"
    wall: Callable[[], float] = lambda: 0.0
    signatures: SignatureCache = field(default_factory=SignatureCache)

    def passing(self, body: RawBody, model: str, *, keep_text: bool = False, before: Before | None = None) -> Passing:
        """What a translated answer gave the client for its own model stays behind."""
        clean = without_ours(body)
        return OpenAIDialect.passing(self, clean, model, keep_text=keep_text, before=before)

    def decode(self, body: RawBody) -> Request:
        return decode(body, self.signatures)

    def writer(self, request: Request) -> Writer:
        return writer(request, f"chatcmpl-{uuid.uuid4().hex}", int(self.wall()), self.signatures)
