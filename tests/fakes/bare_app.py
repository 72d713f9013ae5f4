"""The ASGI application alone, in memory: routes that answer with their own name, and no socket, engine or target."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.seam import Dialect
from runtime.life.desk import Desk
from runtime.server.access_policy import AccessPolicy
from runtime.server.app import App
from runtime.server.asgi import ClientRequest, Message, Page, Pairs
from runtime.server.routes import SCOPES, Route
from runtime.trust.rates import RateLimiter


@dataclass
class Answered:
    """status: 0 if no head was sent. ended: true if the last byte was announced as the last."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    ended: bool = False

    def header(self, name: str) -> str | None:
        return next((value for each, value in self.headers if each == name), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.body)["error"])


async def _named(request: ClientRequest, extra: Pairs) -> None:
    await request.answer_json(200, {"path": request.path, "caller": request.caller.id, "peer": request.peer}, extra)


def bare_app(policy: AccessPolicy, more: Mapping[Route, Page] | None = None) -> App:
    """more: pages in place of those that answer with the path and the caller."""
    ids = (f"dec_{number}" for number in itertools.count(1))
    names = SimpleNamespace(next=lambda: next(ids))
    desk = SimpleNamespace(ids=names, clock=lambda: 0.0, limiter=RateLimiter(lambda: 0.0))
    dialects: dict[str, Dialect] = {"/v1/messages": MESSAGES}
    pages = dict.fromkeys((route for route in SCOPES if route != ("POST", "/v1/messages")), _named)
    return App(cast("Desk", desk), policy, dialects, {**pages, **(more or {})})


async def asked(
    app: App,
    method: str,
    path: str,
    headers: Sequence[tuple[str, str]] = (("host", "localhost"),),
    *,
    client: tuple[str, int] | None = ("127.0.0.1", 5000),
    body: Sequence[bytes] = (b"",),
) -> Answered:
    """body: its pieces as they arrive; after the last the client is gone."""
    scope = {
        "type": "http",
        "method": method,
        "path": path.partition("?")[0],
        "raw_path": path.partition("?")[0].encode(),
        "query_string": path.partition("?")[2].encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "client": client,
    }
    answered, pieces = Answered(), list(body)

    async def receive() -> Message:
        if not pieces:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered.status = message["status"]
            answered.headers = tuple((name.decode(), value.decode("latin-1")) for name, value in message["headers"])
            return
        answered.body += message.get("body", b"")
        answered.ended = not message.get("more_body", False)

    await app(scope, receive, send)
    return answered
