"""`/health/live` and `/health/ready`: for supervisors and load balancers."""

from __future__ import annotations

from runtime.contract.engine import ReplicaState
from runtime.contract.models import ModelState
from runtime.life.desk import Desk
from runtime.server.asgi import ClientRequest, Page, Pairs

_COMING = frozenset({ModelState.FETCHING, ModelState.LOADING})


class HealthPages:
    """Open to everybody: no key, no Host check."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", "/health/live"): self.live, ("GET", "/health/ready"): self.ready}

    async def live(self, request: ClientRequest, extra: Pairs) -> None:
        await request.answer_json(200, {"status": "live"}, extra)

    async def ready(self, request: ClientRequest, extra: Pairs) -> None:
        """200 while any candidate of `auto` can answer: any local model that chats, or a cloud. Other Hearths do not count."""
        fleet, mode = self._desk.fleet, self._desk.planner.policy.escalation.mode
        views = fleet.engine.views()
        engine = {view.name: {"state": view.state, "cause": view.cause} for view in views}
        models = {name: each.house.view(each.name) for name, each in fleet.models.items()}
        chats = [name for name, each in fleet.models.items() if each.backend.target.capabilities.chat]
        up = any(view.state is ReplicaState.READY for view in views)
        up = up or any(models[name].state is ModelState.READY for name in chats)
        clouds = [name for name, state in fleet.breakers().items() if state != "open"]
        leaves = mode == "act" and bool(clouds)
        ok = (up or leaves) and not self._desk.draining
        status = "draining" if self._desk.draining else "ready" if ok else "not ready"
        body: dict[str, object] = {"status": status, "engine": engine, "targets": clouds}
        if models:
            body["models"] = {name: {"state": view.state, "cause": view.cause} for name, view in models.items()}
        if self._desk.others is not None:
            body["fleet"] = self._desk.others()
        due = [view.ready_at - self._desk.clock() for view in views if view.ready_at is not None]
        due += [view.ready_in_s for view in models.values() if view.state in _COMING and view.ready_in_s is not None]
        wait = ((b"retry-after", str(max(1, round(min(due)))).encode()),) if due and not ok else ()
        await request.answer_json(200 if ok else 503, body, (*extra, *wait))
