"""What the runtime says of itself: models, health, metrics, status, decisions, explanations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from runtime.contract.engine import ReplicaState
from runtime.dialects import openai
from runtime.dialects.anthropic_messages import listing
from runtime.life.planning import Explanation, explain
from runtime.routing.facts.facts import BadHint
from runtime.routing.plan.names import AUTO
from runtime.routing.plan.plan import Candidate, Rejected
from runtime.server.answering import Desk
from runtime.server.app import Page
from runtime.server.asgi import ClientRequest, Pairs
from runtime.server.status import StatusReport
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody

_MOST_DECISIONS = 1000
_NEEDS = {"prompt": openai.COMPLETIONS, "input": openai.EMBEDDINGS}


class Pages:
    """`report` makes the status; it knows more of the process than the door does."""

    def __init__(self, desk: Desk, report: Callable[[], StatusReport], started_at: float) -> None:
        self._desk = desk
        self._report = report
        self._created = int(started_at)

    def table(self) -> dict[tuple[str, str], Page]:
        return {
            ("GET", "/v1/models"): self.models,
            ("GET", "/v1/models/"): self.model,
            ("GET", "/health/live"): self.live,
            ("GET", "/health/ready"): self.ready,
            ("GET", "/metrics"): self.metrics,
            ("GET", "/hearth/status"): self.status,
            ("GET", "/hearth/decisions"): self.decisions,
            ("GET", "/hearth/decisions/"): self.decision,
            ("POST", "/hearth/explain"): self.explain,
        }

    # Models

    async def models(self, request: ClientRequest, extra: Pairs) -> None:
        """In the shape of the client's wire, which is told by the version header that wire has."""
        if listing.wanted(list(request.headers)):
            await request.answer_json(200, listing.page(list(map(_listed, self._models()))), extra)
            return
        await request.answer_json(200, {"object": "list", "data": self._models()}, extra)

    async def model(self, request: ClientRequest, extra: Pairs) -> None:
        wanted = request.path.removeprefix("/v1/models/")
        for row in self._models():
            if row["id"] == wanted:
                shown = listing.model(_listed(row)) if listing.wanted(list(request.headers)) else row
                await request.answer_json(200, shown, extra)
                return
        raise ApiError(404, f"no model is called {wanted[:100]!r}", "model_not_found")

    def _models(self) -> list[dict[str, Any]]:
        fleet = self._desk.fleet
        local = fleet.local.target
        rows = [
            self._model(AUTO, "hearth"),
            self._model(local.label, local.provider, local.capabilities.context_tokens),
        ]
        for backend in fleet.clouds.backends.values():
            target = backend.target
            rows.append(self._model(target.label, target.provider, target.capabilities.context_tokens))
        rows += [self._model(alias, "hearth") for alias in self._desk.planner.policy.directory.aliases]
        return rows

    def _model(self, name: str, owner: str, window: int | None = None) -> dict[str, Any]:
        row: dict[str, Any] = {"id": name, "object": "model", "created": self._created, "owned_by": owner}
        return row if window is None else row | {"max_model_len": window}

    # Health

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

    async def metrics(self, request: ClientRequest, extra: Pairs) -> None:
        kind, body = self._desk.metrics.render()
        await request.answer(200, body, ((b"content-type", kind.encode()), *extra))

    # What was decided, and what would be

    async def status(self, request: ClientRequest, extra: Pairs) -> None:
        await request.answer_json(200, self._report(), extra)

    async def decisions(self, request: ClientRequest, extra: Pairs) -> None:
        asked = {name: values[-1] for name, values in parse_qs(request.scope["query_string"].decode("latin-1")).items()}
        unknown = set(asked) - {"limit", "before", "target", "reason"}
        if unknown:
            raise ApiError(400, f"unknown parameter {min(unknown)!r}", "invalid_parameter", min(unknown))
        text = asked.get("limit", "50")
        limit = int(text) if text.isascii() and text.isdigit() else 0
        if not 1 <= limit <= _MOST_DECISIONS:
            raise ApiError(400, f"limit must be a number from 1 to {_MOST_DECISIONS}", "invalid_parameter", "limit")
        rows = await self._desk.store.list(
            limit, before=asked.get("before"), target=asked.get("target"), reason=asked.get("reason")
        )
        await request.answer_json(200, {"object": "list", "data": rows}, extra)

    async def decision(self, request: ClientRequest, extra: Pairs) -> None:
        id = request.path.removeprefix("/hearth/decisions/")
        found = await self._desk.store.get(id)
        if found is None:
            raise ApiError(404, f"no decision {id[:100]!r} is kept", "decision_not_found")
        await request.answer_json(200, found, extra)

    async def explain(self, request: ClientRequest, extra: Pairs) -> None:
        """Any body a generating route takes; decides as if it had been sent there now, and sends nothing."""
        try:
            body = RawBody(await request.body(self._desk.max_body))
            dialect = next((needing for member, needing in _NEEDS.items() if member in body.spans), openai.CHAT)
            dialect.check(body)
            facts = self._desk.planner.facts(dialect.name, body.data, request.headers)
        except BadBody as error:
            raise ApiError(400, str(error), "invalid_body", error.place) from error
        except BadHint as error:
            raise ApiError(400, str(error), "invalid_hint", error.place) from error
        desk = self._desk
        await request.answer_json(200, explained(explain(desk.planner, desk.fleet, facts, desk.clock())), extra)


def _listed(row: dict[str, Any]) -> listing.ModelRow:
    return listing.ModelRow(row["id"], row["created"], row.get("max_model_len"))


def explained(explanation: Explanation) -> dict[str, Any]:
    """An explanation as `/hearth/explain` and `hearth explain --json` show it."""
    facts, plan, labels = explanation.facts, explanation.plan, explanation.labels
    shown: dict[str, Any] = {
        "score": facts.score,
        "task": facts.task,
        "prompt_tokens": facts.prompt_tokens,
        "target": labels[plan.candidates[0].target] if plan.candidates else None,
        "reason": plan.reason,
        "words": plan.words,
        "degraded": plan.degraded,
        "candidates": [_row(item, labels) for item in plan.candidates],
        "considered": [_row(item, labels) for item in plan.considered],
    }
    if plan.advice:
        shown["advice"] = plan.advice
    if plan.refusal is not None:
        refusal = plan.refusal
        shown["refusal"] = {"status": refusal.status, "code": refusal.code, "message": refusal.message}
    return shown


def _row(item: Candidate | Rejected, labels: Mapping[str, str]) -> dict[str, str]:
    return {"target": labels[item.target], "name": item.target, "reason": item.reason, "words": item.words}
