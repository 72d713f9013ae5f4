"""The ASGI application: one table of routes, authentication, CORS, request ids, and errors in the caller's dialect."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

from runtime.dialects import openai
from runtime.dialects.seam import Dialect
from runtime.server.answering import Desk, answer
from runtime.server.asgi import ClientGone, ClientRequest, Page, Pairs, Receive, Scope, Send
from runtime.server.keys import Keys
from runtime.server.origins import Origins
from runtime.wire.api_error import ApiError

_MESSAGES = "/v1/messages"
_OPEN = "/health/"  # no key needed below this
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_log = logging.getLogger("hearth.server")


@dataclass(slots=True)
class Gate:
    """Who may come in. Replaced whole on a reload."""

    keys: Keys
    origins: Origins


class App:
    """dialects: the generating routes. pages: all others by method and path; one that ends in "/" takes all below it."""

    def __init__(
        self, desk: Desk, gate: Gate, dialects: Mapping[str, Dialect], pages: Mapping[tuple[str, str], Page]
    ) -> None:
        self._desk = desk
        self._dialects = dialects
        self._pages = pages
        self.gate = gate
        self.tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(ClientRequest(scope, receive, send, self._desk.clock()))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, request: ClientRequest) -> None:
        desk = self._desk
        request.id = desk.ids.next()
        asked = request.headers.get("x-request-id", "")
        extra: list[tuple[bytes, bytes]] = [
            (b"x-request-id", (asked if _REQUEST_ID.fullmatch(asked) else request.id).encode())
        ]
        if request.path.startswith(_MESSAGES):
            extra.append((b"request-id", request.id.encode()))  # where that wire's own clients look for it
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            extra += self.gate.origins.check(request.headers)
            await self._route(request, extra)
        except ApiError as error:
            await request.answer(
                error.status,
                self._dialect_of(request.path).error_body(error),
                ((b"content-type", b"application/json"), *extra, *error.headers),
            )
        except ClientGone:
            pass
        finally:
            self.tasks.discard(task)

    async def _route(self, request: ClientRequest, extra: Pairs) -> None:
        path, method = request.path, request.method
        if method == "OPTIONS":
            await request.answer(204, b"", self.gate.origins.preflight(request.headers))
            return
        if not path.startswith(_OPEN):
            self.gate.keys.check(request.headers)
        dialect = self._dialects.get(path)
        if dialect is not None and method == "POST":
            await answer(self._desk, request, dialect, extra)
            return
        page = self._page("GET" if method == "HEAD" else method, path)
        if page is None:
            raise self._not_found(path, method)
        await page(request, extra)

    def _dialect_of(self, path: str) -> Dialect:
        """Whose shape an error at a path has: OpenAI's where no other wire lives there."""
        return next((each for route, each in self._dialects.items() if path.startswith(route)), openai.CHAT)

    def _page(self, method: str, path: str) -> Page | None:
        page = self._pages.get((method, path))
        while page is None and (above := path.rstrip("/").rfind("/")) > 0:
            path = path[: above + 1]
            page = self._pages.get((method, path))
        return page

    def _not_found(self, path: str, method: str) -> ApiError:
        known = {route for _, route in self._pages} | set(self._dialects)
        if path in known:
            return ApiError(405, f"{method} is not answered at {path}", "method_not_allowed")
        return ApiError(404, f"nothing is served at {path}", "not_found")
