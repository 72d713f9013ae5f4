"""`/health/live` and `/health/ready`: for supervisors and load balancers."""

from __future__ import annotations

from runtime.contract.engine import ReplicaState
from runtime.life.desk import Desk
from runtime.server.asgi import ClientRequest, Page, Pairs


class HealthPages:
    """Open to everybody: no key, no Host check."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", "/health/live"): self.live, ("GET", "/health/ready"): self.ready}

    async def live(self, request: ClientRequest, extra: Pairs) -> None:
        await request.answer_json(200, {"status": "live"}, extra)

    async def ready(self, request: ClientRequest, extra: Pairs) -> None:
        """200 while any candidate of `auto` can answer."""
        desk = self._desk
        views = desk.fleet.engine.views()
        engine = {view.name: {"state": view.state, "cause": view.cause} for view in views}
        up = any(view.state is ReplicaState.READY for view in views)
        clouds = [name for name, state in desk.fleet.breakers().items() if state != "open"]
        leaves = desk.planner.policy.escalation.mode == "act" and bool(clouds)
        ok = (up or leaves) and not desk.draining
        status = "draining" if desk.draining else "ready" if ok else "not ready"
        body = {"status": status, "engine": engine, "targets": clouds}
        due = [view.ready_at - desk.clock() for view in views if view.ready_at is not None]
        wait = ((b"retry-after", str(max(1, round(min(due)))).encode()),) if due and not ok else ()
        await request.answer_json(200 if ok else 503, body, (*extra, *wait))
