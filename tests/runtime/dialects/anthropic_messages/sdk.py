"""The vendor's own SDK as a reader of bytes, over a transport that answers from memory."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from runtime.wire import sse

_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_MESSAGE: TypeAdapter[Any] = TypeAdapter(Message)


class _Memory:
    """Answers every request with the bytes in the slot."""

    def __init__(self) -> None:
        self.body, self.kind, self.status = b"", "", 200
        transport = httpx2.MockTransport(self._answer)
        self.reader = anthropic.Anthropic(api_key="k", max_retries=0, http_client=httpx2.Client(transport=transport))

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(self.status, headers={"content-type": self.kind}, content=self.body)

    def holding(self, body: bytes, kind: str, status: int = 200) -> anthropic.Anthropic:
        self.body, self.kind, self.status = body, kind, status
        return self.reader


_memory = _Memory()
_ASK: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}


def reader(body: bytes, kind: str = "application/json", status: int = 200) -> anthropic.Anthropic:
    """A client that is answered with these bytes."""
    return _memory.holding(body, kind, status)


def streamed(body: bytes) -> dict[str, Any]:
    """The message that the SDK folds a stream to."""
    with reader(body, sse.MEDIA_TYPE).beta.messages.stream(**_ASK) as stream:
        return dict(stream.get_final_message().model_dump(mode="json", warnings=False))


def whole(body: bytes) -> dict[str, Any]:
    return dict(reader(body).beta.messages.create(**_ASK).model_dump(mode="json", warnings=False))


def check_events(body: bytes) -> list[dict[str, Any]]:
    """The events, each validated against the SDK's types."""
    events = [event for event in sse.Events().feed(body) if event.data is not None]
    for event in events:
        assert _EVENT.validate_json(event.data or b"").type.encode() == event.name
    return [json.loads(event.data or b"") for event in events]


def check_message(body: bytes) -> dict[str, Any]:
    _MESSAGE.validate_json(body)
    return dict(json.loads(body))
