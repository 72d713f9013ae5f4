"""The same upstream on four wires: what a good, a cut and a failing answer look like on each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from cloud.anthropic.codec import AnthropicCodec
from cloud.gemini.codec import GeminiCodec
from cloud.openai.compatible import OpenAICodec
from local_models.wire.codec import EngineCodec
from runtime.contract.codec import Codec
from runtime.contract.targets import LOCAL, Capabilities, Target
from tests.fakes.upstream import QUICK, FakeBackend, FakeLane, Piece, ScriptedHop, Turn, chunk


def _now() -> datetime:
    return datetime(2026, 11, 22, tzinfo=UTC)


def _event(name: str, **members: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **members})}\n\n".encode()


def _candidate(text: str = "", **members: Any) -> bytes:
    content = {"content": {"role": "model", "parts": [{"text": text}] if text else []}}
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 2, "totalTokenCount": 9}
    return b"data: " + json.dumps({"candidates": [content | members], "usageMetadata": usage}).encode() + b"\r\n\r\n"


@dataclass(frozen=True)
class Wire:
    """One wire. head: before the first content; says: one piece of text; last: what makes an answer whole; mark: closing."""

    name: str
    codec: Codec
    dialects: frozenset[str]
    head: tuple[bytes, ...]
    last: tuple[bytes, ...]
    mark: tuple[bytes, ...]
    stream_error: bytes

    def says(self, text: str) -> bytes:
        if self.name == "messages":
            return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
        return _candidate(text) if self.name == "generate" else chunk(text)

    def told(self, text: str) -> Turn:
        half = len(text) // 2
        return Turn([*self.head, self.says(text[:half]), self.says(text[half:]), *self.last, *self.mark])

    def begun(self, *after: Piece) -> Turn:
        """An answer of which "Hel" comes, and then something else."""
        return Turn([*self.head, self.says("Hel"), *after])

    def refuses(self, status: int, words: str = "no", code: str = "", headers: Mapping[str, str] | None = None) -> Turn:
        """An error answer in the wire's own shape. code: the wire's machine-readable word."""
        if self.name == "messages":
            detail = {"type": code or "api_error", "message": words}
            body: dict[str, Any] = {"type": "error", "error": detail, "request_id": "req_1"}
        elif self.name == "generate":
            body = {"error": {"code": status, "message": words, "status": code or "INTERNAL"}}
        else:
            body = {"error": {"message": words, "type": code or "server_error", "code": code or None}}
        return Turn([json.dumps(body).encode()], status, dict(headers or {}))

    def target(self, name: str, *turns: Turn, **facts: Any) -> FakeBackend:
        """A target of this wire that plays turns."""
        model = "small-id" if self.name == "engine" else f"{name}-model"
        provider = LOCAL if self.name == "engine" else "vendor"
        label = "small" if provider == LOCAL else model
        usual: dict[str, Any] = {"timeouts": QUICK, "on_box": provider == LOCAL}
        facts = usual | {"capabilities": Capabilities(completions=True)} | facts
        target = Target(LOCAL if provider == LOCAL else name, provider, label, dialects=self.dialects, **facts)
        lane = FakeLane("replica-0" if provider == LOCAL else target.label, ScriptedHop(*turns), model)
        return FakeBackend(target, [lane], self.codec)


_ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
_USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}\n\n'
_DONE = b"data: [DONE]\n\n"
_START = _event("message_start", message={"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
                "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 1}})  # fmt: skip
_BLOCK = _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
_END = (
    _event("content_block_stop", index=0),
    _event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 2}),
)
_OVERLOADED = {"type": "overloaded_error", "message": "Overloaded"}

CHAT = Wire(
    "chat",
    OpenAICodec(_now),
    frozenset({"openai_chat"}),
    (_ROLE,),
    (chunk(finish="stop"), _USAGE),
    (_DONE,),
    b'data: {"error":{"message":"Overloaded","code":500}}\n\n',
)
MESSAGES = Wire(
    "messages",
    AnthropicCodec(_now),
    frozenset({"anthropic_messages", "anthropic_count_tokens"}),
    (_START, _BLOCK),
    _END,
    (_event("message_stop"),),
    _event("error", error=_OVERLOADED),
)
GENERATE = Wire(
    "generate",
    GeminiCodec(),
    frozenset(),
    (),
    (_candidate(finishReason="STOP"),),
    (),
    b'data: {"error":{"code":503,"message":"Overloaded","status":"UNAVAILABLE"}}\r\n\r\n',
)
ENGINE = replace(CHAT, name="engine", codec=EngineCodec(), dialects=frozenset({"openai_chat", "openai_completions"}))

WIRES = {wire.name: wire for wire in (CHAT, MESSAGES, GENERATE, ENGINE)}
