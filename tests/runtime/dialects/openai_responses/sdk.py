"""The vendor's own SDK as a reader of bytes, over a transport that answers from memory."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from runtime.wire import sse

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
_RESPONSE: TypeAdapter[Any] = TypeAdapter(Response)


class _Memory:
    """Answers every request with the bytes in the slot."""

    def __init__(self) -> None:
        self.body, self.kind, self.status = b"", "", 200
        transport = httpx2.MockTransport(self._answer)
        self.reader = openai.OpenAI(api_key="k", max_retries=0, http_client=httpx2.Client(transport=transport))

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(self.status, headers={"content-type": self.kind}, content=self.body)

    def holding(self, body: bytes, kind: str, status: int = 200) -> openai.OpenAI:
        self.body, self.kind, self.status = body, kind, status
        return self.reader


_memory = _Memory()


def reader(body: bytes, kind: str = "application/json", status: int = 200) -> openai.OpenAI:
    """A client that is answered with these bytes."""
    return _memory.holding(body, kind, status)


def streamed(body: bytes) -> dict[str, Any]:
    """The response that the SDK's stream helper folds a stream to."""
    with reader(body, sse.MEDIA_TYPE).responses.stream(model="m", input="x") as stream:
        return dict(stream.get_final_response().model_dump(mode="json", warnings=False))


def iterated(body: bytes) -> list[Any]:
    """The events of a plain stream."""
    return list(reader(body, sse.MEDIA_TYPE).responses.create(model="m", input="x", stream=True))


def whole(body: bytes) -> dict[str, Any]:
    """A whole response, validated against the SDK's types and read by its client."""
    _RESPONSE.validate_json(body)
    return dict(reader(body).responses.create(model="m", input="x").model_dump(mode="json", warnings=False))


def check_events(body: bytes) -> list[dict[str, Any]]:
    """The events, each validated with its name and number."""
    events = [event for event in sse.Events().feed(body) if event.data is not None]
    read = [json.loads(event.data or b"") for event in events]
    for event, data in zip(events, read, strict=True):
        assert _EVENT.validate_python(data).type.encode() == event.name
    assert [data["sequence_number"] for data in read] == list(range(len(read)))
    return read
