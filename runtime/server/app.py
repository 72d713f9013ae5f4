"""The ASGI application: its routes, the order of its checks, and the floor beneath them.

The floor: whatever raises on a request's way, the client gets an error in its own dialect, or, once the head has left, a
connection that is visibly cut; the log gets the lines of code that were passed, and nothing of what was asked.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from http import HTTPStatus

from runtime.dialects.anthropic_messages import listing
from runtime.dialects.openai_chat.dialect import CHAT
from runtime.dialects.seam import Dialect
from runtime.life.desk import Desk
from runtime.server import access_log
from runtime.server.access_policy import KEYLESS, AccessPolicy
from runtime.server.answer import answer_body, body_of
from runtime.server.asgi import JSON, ClientGone, ClientRequest, Page, Receive, Scope, Send
from runtime.server.bodies import CODINGS
from runtime.server.rate_limits import limited
from runtime.server.routes import ADMIN, SCOPES, Route
from runtime.server.wrong_keys import WrongKeys
from runtime.trust.keys import Keys
from runtime.trust.stack import stack_of
from runtime.wire.api_error import ApiError, nothing_at

_MESSAGES = "/v1/messages"
_MODELS = "/v1/models"
_BELOW = sorted({path for _, path in SCOPES if path.endswith("/") and path != "/"}, key=len, reverse=True)
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_log = logging.getLogger("hearth.server")

_Headers = list[tuple[bytes, bytes]]


_PRIVATE = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))  # of what Hearth says of itself


class App:
    """dialects: the generating routes, by path. pages: all others. `tasks`: those of the requests under way.

    Raises ValueError for a route without an entry in the table of scopes.
    """

    def __init__(
        self, desk: Desk, policy: AccessPolicy, dialects: Mapping[str, Dialect], pages: Mapping[Route, Page]
    ) -> None:
        without = ({("POST", path) for path in dialects} | set(pages)) - set(SCOPES)
        if without:
            raise ValueError(f"routes without a scope: {sorted(without)}")
        self._desk = desk
        self._dialects = dialects
        self._pages = pages
        self.policy = policy
        self.limiter = desk.limiter
        self.wrong_keys = WrongKeys(desk.clock)
        self.tasks: set[asyncio.Task[None]] = set()
        self.hops: Callable[[ClientRequest, Keys], None] | None = (
            None  # admits what another Hearth sends; None: nobody does
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # the server is told to accept no websocket and to send no lifespan events
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        counted = access_log.Counted(send) if access_log.log.isEnabledFor(logging.INFO) else None
        request = ClientRequest(scope, receive, counted or send, self._desk.clock())
        if counted is not None:
            request.write_now = None  # it would go past the counting
        try:
            await self._with_a_floor(request)
        finally:
            self.tasks.discard(task)
            if counted is not None:
                counted.write(request, self._desk.clock() - request.arrived)

    async def _with_a_floor(self, request: ClientRequest) -> None:
        policy = self.policy
        extra: _Headers = []
        try:
            try:
                if policy.prefix:
                    request.path = policy.inside(request.path)
                request.id = self._desk.ids.next()
                asked = request.headers.get("x-request-id", "")
                extra.append((b"x-request-id", (asked if _REQUEST_ID.fullmatch(asked) else request.id).encode()))
                if request.path.startswith(_MESSAGES):
                    extra.append((b"request-id", request.id.encode()))  # the name that this wire's clients know
                extra += policy.meet(request)
                await self._route(policy, request, extra)
            except ApiError as error:
                await self._refuse(request, error, extra)
        except ClientGone:
            pass
        except asyncio.CancelledError:
            # The drain is over. The task ends here, and with it the connection of an answer that has begun.
            stopping = ApiError(503, "this server is shutting down", "shutting_down", None, 5.0)
            await self._refuse(request, stopping, extra)
        except Exception as error:  # noqa: BLE001 - the floor
            _log.error("request %s failed:\n%s", request.id, stack_of(error))
            words = f"the server failed to answer; its log says where, under {request.id}"
            await self._refuse(request, ApiError(500, words, "internal_error"), extra)

    async def _route(self, policy: AccessPolicy, request: ClientRequest, extra: _Headers) -> None:
        path, method = request.path, request.method
        if path.startswith("/hearth/"):
            extra += _PRIVATE
        if method == "OPTIONS":
            headers = policy.origins.preflight(request.headers, ", ".join(self._methods(path)))
            await request.answer(204, b"", (*extra, *headers))
            return
        if not path.startswith(KEYLESS) and path != "/":
            try:
                request.caller = policy.keys.admit(request.headers)
            except ApiError as error:
                self.wrong_keys.count(request.peer, path, request.headers, error)
                raise
            if self.hops is not None and "x-hearth-hop" in request.headers:
                self.hops(request, policy.keys)
        dialect = self._dialects.get(path) if method == "POST" else None
        if dialect is not None:
            policy.admit(request, SCOPES[method, path])
            bounded = request.caller.limits is not None
            if bounded and self.limiter.shared:
                await self.limiter.ready(request.caller)
            with limited(self.limiter, request, extra, self._desk.wall) if bounded else nullcontext():
                body = await body_of(self._desk, request, dialect)
                await answer_body(self._desk, request, dialect, extra, body)
            return
        route = _route_of("GET" if method == "HEAD" else method, path)
        page = self._pages.get(route)
        if page is None:
            methods = self._methods(path)
            if len(methods) == 1:
                raise nothing_at(path)
            extra.append((b"allow", ", ".join(methods).encode()))
            raise ApiError(405, f"{method} is not answered at {path[:200]}", "method_not_allowed")
        policy.admit(request, SCOPES[route])
        if SCOPES[route] == ADMIN and method not in ("GET", "HEAD"):
            policy.guard_change(request)
        bounded = request.caller.limits is not None and method == "POST" and path.startswith("/v1/")
        if bounded and self.limiter.shared:
            await self.limiter.ready(request.caller)
        with limited(self.limiter, request, extra, self._desk.wall) if bounded else nullcontext():
            await page(request, extra)

    async def _refuse(self, request: ClientRequest, error: ApiError, extra: _Headers) -> None:
        """The error in the client's dialect; nothing if the head has left, so that the connection ends unfinished."""
        if error.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            extra.append((b"accept-encoding", CODINGS.encode()))
        if not request.started:
            await request.answer(
                error.status, self._dialect_of(request).error_body(error), (JSON, *extra, *error.headers)
            )

    def _dialect_of(self, request: ClientRequest) -> Dialect:
        """The dialect of an error at a path: OpenAI's where no other wire lives there."""
        path = request.path
        if path.startswith(_MODELS) and listing.wanted(list(request.headers)):
            path = _MESSAGES
        return next((each for route, each in self._dialects.items() if path.startswith(route)), CHAT)

    def _methods(self, path: str) -> list[str]:
        """The methods of a path, OPTIONS included."""
        routes = [*self._pages, *(("POST", each) for each in self._dialects)]
        found = {method for method, _ in routes if _route_of(method, path) in routes}
        return sorted({"OPTIONS", *found, *(["HEAD"] if "GET" in found else [])})


def _route_of(method: str, path: str) -> Route:
    """The table's entry for a request: that of its path, or else of the path above it."""
    if (method, path) in SCOPES:
        return method, path
    return method, next((below for below in _BELOW if path.startswith(below)), path)
