"""The routes of the door that generate nothing of their own, by method and path."""

from __future__ import annotations

from collections.abc import Callable

from runtime.server.answering import Desk
from runtime.server.asgi import Page
from runtime.server.pages.decisions import DecisionPages
from runtime.server.pages.explain import ExplainPage
from runtime.server.pages.health import HealthPages
from runtime.server.pages.metrics import MetricsPage
from runtime.server.pages.models import ModelPages
from runtime.server.pages.status import StatusPage
from runtime.server.status import StatusReport


def own_pages(desk: Desk, report: Callable[[], StatusReport], started_at: float) -> dict[tuple[str, str], Page]:
    """What the runtime tells of itself. report: makes `/hearth/status`. started_at: unix seconds."""
    return {
        **ModelPages(desk, int(started_at)).table(),
        **HealthPages(desk).table(),
        **MetricsPage(desk.metrics).table(),
        **StatusPage(report).table(),
        **DecisionPages(desk.store).table(),
        **ExplainPage(desk).table(),
    }
