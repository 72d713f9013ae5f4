"""`POST /hearth/explain`: the plan for a body with its reasons. Sends nothing to any target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.dialects.openai_chat.dialect import CHAT
from runtime.dialects.openai_completions import COMPLETIONS
from runtime.dialects.openai_embeddings import EMBEDDINGS
from runtime.dialects.seam import Dialect
from runtime.life.desk import Desk
from runtime.life.planning import Explanation, explain
from runtime.routing.facts.hints import BadHint
from runtime.routing.plan.plan import Candidate, Rejected
from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody

# The dialect of a body, by a member that only this dialect requires; all others are chats.
_NEEDS: Mapping[str, Dialect] = {"prompt": COMPLETIONS, "input": EMBEDDINGS}


class ExplainPage:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> dict[tuple[str, str], Page]:
        return {("POST", "/hearth/explain"): self.explain}

    async def explain(self, request: ClientRequest, extra: Pairs) -> None:
        """Takes the body of any generating route and makes the plan that it would get now."""
        try:
            body = RawBody(await request.body(self._desk.max_body))
            dialect = next((needing for member, needing in _NEEDS.items() if member in body.spans), CHAT)
            dialect.check(body)
            query = self._desk.planner.read(dialect.name, body.data, request.headers)
        except BadBody as error:
            raise ApiError(400, str(error), "invalid_body", error.place) from error
        except BadHint as error:
            raise ApiError(400, str(error), "invalid_hint", error.place) from error
        desk = self._desk
        await request.answer_json(200, explained(explain(desk.planner, desk.fleet, query, desk.clock())), extra)


def explained(explanation: Explanation) -> dict[str, Any]:
    """An explanation as `/hearth/explain` and `hearth explain --json` show it."""
    query, plan = explanation.query, explanation.plan
    shown: dict[str, Any] = {
        "score": query.score,
        "task": query.task,
        "prompt_tokens": query.facts.prompt_tokens,
        "target": plan.candidates[0].target.label if plan.candidates else None,
        "reason": plan.reason,
        "words": plan.words,
        "degraded": plan.degraded,
        "candidates": [_row(item) for item in plan.candidates],
        "considered": [_row(item) for item in plan.considered],
    }
    if plan.advice:
        shown["advice"] = plan.advice
    if plan.refusal is not None:
        refusal = plan.refusal
        shown["refusal"] = {"status": refusal.status, "code": refusal.code, "message": refusal.message}
    return shown


def _row(item: Candidate | Rejected) -> dict[str, str]:
    return {"target": item.target.label, "name": item.target.name, "reason": item.reason, "words": item.words}
