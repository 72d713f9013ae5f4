"""`POST /hearth/running/ID/cancel`: an operator ends a request that runs."""

from __future__ import annotations

from collections.abc import Callable

from runtime.life.desk import Desk
from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.trust.changes import AdminChange
from runtime.wire.api_error import ApiError, nothing_at

PATH = "/hearth/running/"


class RunningPages:
    """note: gets every cancelled request."""

    def __init__(self, desk: Desk, note: Callable[[AdminChange], object]) -> None:
        self._desk, self._note = desk, note

    def table(self) -> dict[tuple[str, str], Page]:
        return {("POST", PATH): self.cancel}

    async def cancel(self, request: ClientRequest, extra: Pairs) -> None:
        """Ends it at its upstream too; its client gets 403 `cancelled_by_operator`. Raises ApiError 404 if it does not run."""
        named, _, verb = request.path.removeprefix(PATH).rpartition("/")
        if verb != "cancel":
            raise nothing_at(request.path)
        _, _, outcome, task = self._desk.running.get(named, (None, None, None, None))
        if outcome is None or task is None or outcome.answered:
            raise ApiError(404, f"no request that runs has the id {named[:100]!r}: it has ended", "not_running")
        outcome.cancelled = ApiError(403, "an operator cancelled this request", "cancelled_by_operator")
        task.cancel()
        words = f"request {named} was cancelled"
        self._note(AdminChange(self._desk.wall(), request.caller.id, "request", words))
        await request.answer_json(200, {"id": named, "words": words}, extra)
