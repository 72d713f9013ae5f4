"""`/hearth/status`: the state of the whole process, as `hearth status` shows it."""

from __future__ import annotations

from collections.abc import Callable

from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.server.status import StatusReport


class StatusPage:
    """report: makes the status from the whole process, of which the server is a part."""

    def __init__(self, report: Callable[[], StatusReport]) -> None:
        self._report = report

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", "/hearth/status"): self.show}

    async def show(self, request: ClientRequest, extra: Pairs) -> None:
        await request.answer_json(200, self._report(), extra)
