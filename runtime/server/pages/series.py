"""`GET /hearth/series`: the last hour in steps of five seconds."""

from __future__ import annotations

from runtime.server.asgi import JSON, ClientRequest, Page, Pairs
from runtime.server.live.series import Series


class SeriesPage:
    def __init__(self, series: Series) -> None:
        self._series = series

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", "/hearth/series"): self.show}

    async def show(self, request: ClientRequest, extra: Pairs) -> None:
        await request.answer(200, self._series.encoded(), (JSON, *extra))
