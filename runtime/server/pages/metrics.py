"""`/metrics`: counters and gauges in Prometheus's text format, or OpenMetrics for a scraper that accepts it."""

from __future__ import annotations

from runtime.record.metrics import Metrics
from runtime.server.asgi import ClientRequest, Page, Pairs


class MetricsPage:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", "/metrics"): self.show}

    async def show(self, request: ClientRequest, extra: Pairs) -> None:
        kind, body = self._metrics.render(request.headers.get("accept", ""))
        await request.answer(200, body, ((b"content-type", kind.encode()), *extra))
