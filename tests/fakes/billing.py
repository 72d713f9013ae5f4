"""An upstream that bills: answers on four wires with the usage they are billed at, and hops that add the bills up."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from cloud.openai.two_wires import OpenAITwoWires
from runtime.contract.hop import HttpCall
from runtime.contract.prices import Price
from runtime.contract.targets import Capabilities, Target
from runtime.contract.usage import Usage
from runtime.dialects.openai_chat.profile import ChatProfile
from tests.fakes.upstream import (
    DONE,
    QUICK,
    ROLE,
    FakeBackend,
    FakeLane,
    Piece,
    ScriptedHop,
    ScriptedReply,
    Turn,
    chunk,
)
from tests.fakes.wires import CHAT, GENERATE, MESSAGES


@dataclass
class Billed(Turn):
    """A turn with its bill. bill: None where the upstream bills and never says how much."""

    bill: Usage | None = field(default_factory=Usage)


class BillingHop(ScriptedHop):
    """bills: of the calls that were answered, in order. A call that is given up before its head is not billed."""

    def __init__(self, *turns: Turn) -> None:
        super().__init__(*turns)
        self.bills: list[Usage | None] = []

    async def open(self, call: HttpCall, *, connect_s: float) -> ScriptedReply:
        turn = self.turns[0]
        reply = await super().open(call, connect_s=connect_s)
        self.bills.append(turn.bill if isinstance(turn, Billed) else Usage())
        return reply


def _now() -> datetime:
    return datetime(2026, 11, 28, tzinfo=UTC)


def tier_of(used: Usage) -> dict[str, str]:
    """The member of an answer beside its usage, where it says how it was processed."""
    return {"service_tier": used.tier} if used.tier else {}


def _event(name: str, **members: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **members})}\n\n".encode()


class Chat:
    """OpenAI's chat wire. Every wire has `head`, `says` and `last`, an SSE stream in three parts, and `whole`."""

    name, dialect, shape = "chat", "openai_chat", CHAT

    def usage(self, used: Usage) -> dict[str, Any]:
        return {
            "prompt_tokens": used.prompt,
            "completion_tokens": used.completion,
            "prompt_tokens_details": {"cached_tokens": used.cached, "cache_write_tokens": used.cache_write},
            "completion_tokens_details": {"reasoning_tokens": used.reasoning},
        }

    def head(self, used: Usage) -> list[Piece]:
        return [ROLE]

    def says(self, text: str) -> Piece:
        return chunk(text)

    def reports(self, used: Usage) -> list[Piece]:
        """The usage alone, without the end of the answer."""
        return [b"data: " + json.dumps({"choices": [], "usage": self.usage(used), **tier_of(used)}).encode() + b"\n\n"]

    def last(self, used: Usage) -> list[Piece]:
        return [chunk(finish="stop"), *self.reports(used), DONE]

    def whole(self, text: str, used: Usage) -> bytes:
        message = {"role": "assistant", "content": text}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return json.dumps({"choices": choices, "usage": self.usage(used), **tier_of(used)}).encode()


class Claude:
    """Anthropic's messages wire: what goes in is counted at the start, what comes out at the end."""

    name, dialect, shape = "claude", "anthropic_messages", MESSAGES

    def usage(self, used: Usage) -> dict[str, Any]:
        return {
            "input_tokens": used.prompt - used.cached - used.cache_write,
            "cache_read_input_tokens": used.cached,
            "cache_creation_input_tokens": used.cache_write,
            "cache_creation": {
                "ephemeral_5m_input_tokens": used.cache_write - used.cache_write_1h,
                "ephemeral_1h_input_tokens": used.cache_write_1h,
            },
            "output_tokens": used.completion,
            "output_tokens_details": {"thinking_tokens": used.reasoning},
            **({"server_tool_use": {"web_search_requests": used.searches}} if used.searches else {}),
            **({"speed": used.tier} if used.tier else {}),
        }

    def head(self, used: Usage) -> list[Piece]:
        began = self.usage(used) | {"output_tokens": 1, "output_tokens_details": {"thinking_tokens": 0}}
        message: dict[str, Any] = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [],
            "usage": began,
        }
        message |= {"stop_reason": None, "stop_sequence": None}
        block = {"type": "text", "text": ""}
        return [_event("message_start", message=message), _event("content_block_start", index=0, content_block=block)]

    def says(self, text: str) -> Piece:
        return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    def reports(self, used: Usage) -> list[Piece]:
        return [_event("message_delta", delta={"stop_reason": None, "stop_sequence": None}, usage=self.usage(used))]

    def last(self, used: Usage) -> list[Piece]:
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        end = _event("message_delta", delta=delta, usage=self.usage(used))
        return [_event("content_block_stop", index=0), end, _event("message_stop")]

    def whole(self, text: str, used: Usage) -> bytes:
        content = [{"type": "text", "text": text}]
        body = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content}
        return json.dumps(body | {"stop_reason": "end_turn", "stop_sequence": None, "usage": self.usage(used)}).encode()


class Gemini:
    """Gemini's wire: it has no whole answers for us, and thoughts are counted beside the answer."""

    name, dialect, shape = "gemini", "", GENERATE

    def usage(self, used: Usage) -> dict[str, Any]:
        return {
            "promptTokenCount": used.prompt,
            "cachedContentTokenCount": used.cached,
            "candidatesTokenCount": used.completion - used.reasoning,
            "thoughtsTokenCount": used.reasoning,
        }

    def _chunk(self, text: str, used: Usage | None, **members: Any) -> bytes:
        parts = [{"text": text}] if text else []
        body: dict[str, Any] = {"candidates": [{"content": {"role": "model", "parts": parts}, **members}]}
        body |= {} if used is None else {"usageMetadata": self.usage(used)}
        return b"data: " + json.dumps(body).encode() + b"\r\n\r\n"

    def head(self, used: Usage) -> list[Piece]:
        return []

    def says(self, text: str) -> Piece:
        return self._chunk(text, None)

    def reports(self, used: Usage) -> list[Piece]:
        return [self._chunk("!", used)]

    def last(self, used: Usage) -> list[Piece]:
        found = {"groundingMetadata": {"webSearchQueries": ["q"] * used.searches}} if used.searches else {}
        return [self._chunk("", used, finishReason="STOP", **found)]

    def whole(self, text: str, used: Usage) -> bytes:
        raise AssertionError("it is always asked for a stream")


class Responses:
    """OpenAI's responses wire: usage comes with the completed response."""

    name, dialect, shape = "responses", "openai_responses", replace(CHAT, codec=OpenAITwoWires(_now, ChatProfile()))

    def usage(self, used: Usage) -> dict[str, Any]:
        return {
            "input_tokens": used.prompt,
            "input_tokens_details": {"cached_tokens": used.cached, "cache_write_tokens": used.cache_write},
            "output_tokens": used.completion,
            "output_tokens_details": {"reasoning_tokens": used.reasoning},
            "total_tokens": used.prompt + used.completion,
        }

    def _response(self, status: str, **members: Any) -> dict[str, Any]:
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "status": status,
            "model": "m",
            "output": [],
            **members,
        }

    def _searched(self, used: Usage) -> list[dict[str, Any]]:
        return [{"id": f"ws_{n}", "type": "web_search_call", "status": "completed"} for n in range(used.searches)]

    def _item(self, text: str, status: str) -> dict[str, Any]:
        content = [{"type": "output_text", "text": text, "annotations": []}] if text else []
        return {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": content}

    def head(self, used: Usage) -> list[Piece]:
        item = self._item("", "in_progress")
        part = {"type": "output_text", "text": "", "annotations": []}
        return [
            _event("response.created", response=self._response("in_progress")),
            _event("response.output_item.added", output_index=0, item=item),
            _event("response.content_part.added", output_index=0, content_index=0, item_id="msg_1", part=part),
        ]

    def says(self, text: str) -> Piece:
        return _event("response.output_text.delta", output_index=0, content_index=0, item_id="msg_1", delta=text)

    def reports(self, used: Usage) -> list[Piece]:
        return []

    def last(self, used: Usage) -> list[Piece]:
        item = self._item("Hello", "completed")
        done = self._response(
            "completed", output=[*self._searched(used), item], usage=self.usage(used), **tier_of(used)
        )
        return [
            _event("response.output_item.done", output_index=0, item=item),
            _event("response.completed", response=done),
        ]

    def whole(self, text: str, used: Usage) -> bytes:
        output = [*self._searched(used), self._item(text, "completed")]
        response = self._response("completed", output=output, usage=self.usage(used), **tier_of(used))
        return json.dumps(response).encode()


BilledWire = Chat | Claude | Gemini | Responses
WIRES: tuple[BilledWire, ...] = (Chat(), Claude(), Gemini(), Responses())


def streamed(wire: BilledWire, used: Usage, text: str = "Hello") -> Billed:
    half = len(text) // 2
    pieces = [*wire.head(used), wire.says(text[:half]), wire.says(text[half:]), *wire.last(used)]
    return Billed(pieces, bill=used)


def documented(wire: BilledWire, used: Usage, text: str = "Hello") -> Billed:
    return Billed([wire.whole(text, used)], bill=used)


def target(
    wire: BilledWire, name: str, price: Price | None, *turns: Turn, can: Capabilities | None = None
) -> FakeBackend:
    """A priced target of a wire that plays turns and adds their bills up."""
    dialects = frozenset({wire.dialect} - {""})
    facts = Target(
        name, "vendor", f"{name}-model", can or Capabilities(), dialects=dialects, timeouts=QUICK, price=price
    )
    return FakeBackend(facts, [FakeLane(facts.label, BillingHop(*turns), facts.model)], wire.shape.codec)


def bills(backend: FakeBackend) -> list[Usage | None]:
    hop = backend.lanes[0].hop
    assert isinstance(hop, BillingHop)
    return hop.bills
