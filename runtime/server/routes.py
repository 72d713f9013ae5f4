"""The table of routes: which scope a caller needs for each, and the pages that generate nothing.

A path that ends in "/" stands for everything below it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runtime.life.desk import Desk
from runtime.server.asgi import Page
from runtime.server.live.feed import Feed
from runtime.server.live.series import Series
from runtime.server.pages.decisions import DecisionPages
from runtime.server.pages.events import EventPages
from runtime.server.pages.explain import ExplainPage
from runtime.server.pages.health import HealthPages
from runtime.server.pages.log import LogPage
from runtime.server.pages.metrics import MetricsPage
from runtime.server.pages.models import ModelPages
from runtime.server.pages.openapi import OpenApiPage
from runtime.server.pages.running import RunningPages
from runtime.server.pages.series import SeriesPage
from runtime.server.pages.static import DashboardPages
from runtime.server.pages.status import StatusPage
from runtime.server.pages.targets import TargetPages
from runtime.server.status import StatusReport
from runtime.trust.caller import Scope
from runtime.trust.changes import AdminChange

Route = tuple[str, str]  # method, path

GENERATE, READ = (Scope.GENERATE,), (Scope.READ,)
ADMIN = (Scope.ADMIN,)
OPEN: tuple[Scope, ...] = ()
EITHER = (Scope.GENERATE, Scope.READ)  # a caller with `generate` alone sees only their own

# The scopes of which a caller must hold one; without any the route is open to everybody, without a key.
SCOPES: Mapping[Route, tuple[Scope, ...]] = {
    ("POST", "/v1/chat/completions"): GENERATE,
    ("POST", "/v1/completions"): GENERATE,
    ("POST", "/v1/embeddings"): GENERATE,
    ("POST", "/v1/rerank"): GENERATE,
    ("POST", "/v1/responses"): GENERATE,
    ("GET", "/v1/responses/"): GENERATE,
    ("POST", "/v1/responses/"): GENERATE,
    ("DELETE", "/v1/responses/"): GENERATE,
    ("POST", "/v1/messages"): GENERATE,
    ("POST", "/v1/messages/count_tokens"): GENERATE,
    ("POST", "/v1/files"): GENERATE,
    ("GET", "/v1/files"): GENERATE,
    ("GET", "/v1/files/"): GENERATE,
    ("DELETE", "/v1/files/"): GENERATE,
    ("POST", "/v1/batches"): GENERATE,
    ("GET", "/v1/batches"): GENERATE,
    ("GET", "/v1/batches/"): GENERATE,
    ("POST", "/v1/batches/"): GENERATE,
    ("POST", "/v1/messages/batches"): GENERATE,
    ("GET", "/v1/messages/batches"): GENERATE,
    ("GET", "/v1/messages/batches/"): GENERATE,
    ("POST", "/v1/messages/batches/"): GENERATE,
    ("DELETE", "/v1/messages/batches/"): GENERATE,
    ("GET", "/v1/models"): GENERATE,
    ("GET", "/v1/models/"): GENERATE,
    ("GET", "/"): OPEN,
    ("GET", "/ui/"): OPEN,
    ("GET", "/health/live"): OPEN,
    ("GET", "/health/ready"): OPEN,
    ("GET", "/metrics"): READ,
    ("GET", "/openapi.json"): EITHER,
    ("GET", "/hearth/status"): READ,
    ("POST", "/hearth/explain"): READ,
    ("GET", "/hearth/decisions"): EITHER,
    ("GET", "/hearth/decisions/"): EITHER,
    ("GET", "/hearth/keys"): ADMIN,
    ("POST", "/hearth/keys"): ADMIN,
    ("POST", "/hearth/keys/"): ADMIN,
    ("DELETE", "/hearth/keys/"): ADMIN,
    ("GET", "/hearth/fleet"): READ,
    ("GET", "/hearth/events"): READ,
    ("GET", "/hearth/series"): READ,
    ("GET", "/hearth/log"): ADMIN,
    ("GET", "/hearth/settings"): ADMIN,
    ("PUT", "/hearth/settings"): ADMIN,
    ("POST", "/hearth/whatif"): ADMIN,
    ("POST", "/hearth/targets/"): ADMIN,
    ("POST", "/hearth/running/"): ADMIN,
    ("GET", "/hearth/models"): READ,
    ("POST", "/hearth/models/"): ADMIN,
    ("GET", "/hearth/adapters"): READ,
    ("POST", "/hearth/adapters/"): ADMIN,
    ("GET", "/hearth/cost"): READ,
    ("GET", "/hearth/summary"): READ,
    ("GET", "/hearth/quality"): READ,
    ("GET", "/hearth/quality/runs"): READ,
    ("GET", "/hearth/quality/runs/"): READ,
    ("POST", "/hearth/quality/estimate"): READ,
    ("GET", "/hearth/quality/replay"): READ,
    ("POST", "/hearth/quality/runs"): ADMIN,
    ("POST", "/hearth/quality/runs/"): ADMIN,
    ("POST", "/hearth/quality/acts"): ADMIN,
    ("GET", "/hearth/audit"): ADMIN,
    ("GET", "/hearth/audit/verify"): ADMIN,
}


def own_pages(
    desk: Desk,
    report: Callable[[], StatusReport],
    started_at: float,
    feed: Feed,
    series: Series,
    note: Callable[[AdminChange], object],
) -> dict[Route, Page]:
    """The pages that every server has. report: makes `/hearth/status`. started_at: unix seconds. note: gets admins' changes."""
    return {
        **ModelPages(desk, int(started_at)).table(),
        **HealthPages(desk).table(),
        **MetricsPage(desk.metrics).table(),
        **OpenApiPage(SCOPES).table(),
        **StatusPage(report).table(),
        **DecisionPages(desk.store).table(),
        **ExplainPage(desk).table(),
        **EventPages(feed).table(),
        **SeriesPage(series).table(),
        **LogPage(desk.fleet.engine).table(),
        **TargetPages(desk, note).table(),
        **RunningPages(desk, note).table(),
        **DashboardPages().table(),
    }
