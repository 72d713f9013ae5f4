"""`GET /hearth/log`: the engine's last lines. They may hold prompts, so an admin alone reads them."""

from __future__ import annotations

from urllib.parse import parse_qs

from runtime.contract.engine import Engine
from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.wire.window import limit_of

_MOST = 2000


class LogPage:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", "/hearth/log"): self.show}

    async def show(self, request: ClientRequest, extra: Pairs) -> None:
        """The last `limit` lines of each replica, oldest first. Raises ApiError 400 for a limit out of bounds."""
        asked = {name: values[-1] for name, values in parse_qs(request.query).items()}
        lines = self._engine.log_tail(limit_of(asked, 500, _MOST))
        await request.answer_json(200, {"object": "list", "data": lines}, extra)
