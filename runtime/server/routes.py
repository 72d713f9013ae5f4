"""The table of routes: which scope a caller needs for each, and the pages that generate nothing.

A path that ends in "/" stands for everything below it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runtime.life.desk import Desk
from runtime.server.asgi import Page
from runtime.server.pages.decisions import DecisionPages
from runtime.server.pages.explain import ExplainPage
from runtime.server.pages.health import HealthPages
from runtime.server.pages.metrics import MetricsPage
from runtime.server.pages.models import ModelPages
from runtime.server.pages.status import StatusPage
from runtime.server.status import StatusReport
from runtime.trust.caller import Scope

Route = tuple[str, str]  # method, path

# None: open to everybody, without a key. A caller with `generate` alone sees only their own decisions.
SCOPES: Mapping[Route, Scope | None] = {
    ("POST", "/v1/chat/completions"): Scope.GENERATE,
    ("POST", "/v1/completions"): Scope.GENERATE,
    ("POST", "/v1/embeddings"): Scope.GENERATE,
    ("POST", "/v1/responses"): Scope.GENERATE,
    ("GET", "/v1/responses/"): Scope.GENERATE,
    ("POST", "/v1/responses/"): Scope.GENERATE,
    ("DELETE", "/v1/responses/"): Scope.GENERATE,
    ("POST", "/v1/messages"): Scope.GENERATE,
    ("POST", "/v1/messages/count_tokens"): Scope.GENERATE,
    ("GET", "/v1/models"): Scope.GENERATE,
    ("GET", "/v1/models/"): Scope.GENERATE,
    ("GET", "/health/live"): None,
    ("GET", "/health/ready"): None,
    ("GET", "/metrics"): Scope.READ,
    ("GET", "/hearth/status"): Scope.READ,
    ("POST", "/hearth/explain"): Scope.READ,
    ("GET", "/hearth/decisions"): Scope.GENERATE,
    ("GET", "/hearth/decisions/"): Scope.GENERATE,
}


def own_pages(desk: Desk, report: Callable[[], StatusReport], started_at: float) -> dict[Route, Page]:
    """Models, health, metrics, status, decisions, explanations. report: makes `/hearth/status`. started_at: unix seconds."""
    return {
        **ModelPages(desk, int(started_at)).table(),
        **HealthPages(desk).table(),
        **MetricsPage(desk.metrics).table(),
        **StatusPage(report).table(),
        **DecisionPages(desk.store).table(),
        **ExplainPage(desk).table(),
    }
