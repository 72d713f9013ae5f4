"""`POST /hearth/explain`: the plan for a body with its reasons. Sends nothing to any target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runtime.contract.usage import Usage
from runtime.dialects.openai_chat.dialect import CHAT
from runtime.dialects.openai_completions import COMPLETIONS
from runtime.dialects.pooling import EMBEDDINGS
from runtime.dialects.seam import Dialect
from runtime.life.desk import Desk
from runtime.life.permitted import permitted
from runtime.life.planning import Explanation, explain
from runtime.routing.facts.facts import Within
from runtime.routing.facts.hints import BadHint
from runtime.routing.plan.picture import Fleet
from runtime.routing.plan.plan import EXTRACTION, Candidate, Plan, PlanRefusal, Rejected
from runtime.routing.plan.waiting import expected_usage
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
            within, own = Within(request.caller.id), request.caller.requires
            query = self._desk.planner.read(dialect.name, body.data, request.headers, own, within)
        except BadBody as error:
            raise ApiError(400, str(error), "invalid_body", error.place) from error
        except BadHint as error:
            raise ApiError(400, str(error), "invalid_hint", error.place) from error
        desk = self._desk
        made = explain(desk.planner, desk.fleet, query, desk.clock(), request.caller.id)
        # What the key forbids is not offered either, and no target that it may not use is named as one that would answer.
        offered = made.plan if desk.peers is None else desk.peers(made.plan, query.facts, request.caller.id)
        plan, forbidden = permitted(request.caller, query.facts, offered, None)
        if forbidden is not None:
            refused = PlanRefusal(forbidden.status, forbidden.code or "", forbidden.message)
            plan = Plan((), plan.reason, forbidden.message, refusal=refused, considered=plan.considered)
        if plan is not offered:
            labels = {each.target.label for each in plan.candidates}
            changes = tuple([each for each in made.changes if each.target is None or each.target in labels])
            made = replace(made, changes=changes)
        made = made if plan is made.plan else replace(made, plan=plan)
        await request.answer_json(200, explained(made), extra)


def explained(explanation: Explanation) -> dict[str, Any]:
    """An explanation as `/hearth/explain` and `hearth explain --json` show it.

    threshold: None where no score sends the request away. opinion: the local model's, None where it was not asked, which an
    explanation never does. undecided: it would be asked, and would decide. load: each value over its threshold, by reason.
    """
    query, plan, fleet = explanation.inputs.query, explanation.plan, explanation.inputs.fleet
    facts, local, session = query.facts, fleet.local, fleet.session
    threshold = explanation.inputs.policy.escalation.threshold(query.task, fleet.shift)
    usage = expected_usage(facts)
    shown: dict[str, Any] = {
        "score": query.score,
        "task": query.task,
        "threshold": threshold if query.task != EXTRACTION and threshold < 1 else None,
        "opinion": query.opinion,
        "undecided": plan.undecided,
        "moving_words": [{"word": word, "weight": round(weight, 4)} for word, weight in query.moving_words()],
        "prompt_tokens": facts.prompt_tokens,
        "facts": {
            "language": query.language,
            "modalities": sorted(facts.modalities),
            "tools": facts.tools,
            "structured": facts.structured,
            "max_tokens": facts.max_tokens,
            "requires": sorted(facts.hints.requires),
        },
        "session": None if session is None else {"target": session.label, "cached_tokens": dict(session.cached)},
        "load": {
            "ready": local.replicas_ready if local else 0,
            "words": local.pressure.words if local else "",
            "ratios": dict(local.pressure.ratios) if local else {},
            "predicted_ttft_ms": round(local.predicted_ttft_s * 1000, 1) if local else None,
        },
        "target": plan.candidates[0].target.label if plan.candidates else None,
        "reason": plan.reason,
        "words": plan.words,
        "degraded": plan.degraded,
        "candidates": [_row(item, usage, fleet) for item in plan.candidates],
        "considered": [_row(item, usage, fleet) for item in plan.considered],
        "would_change": [
            {"input": each.words, "target": each.target, "reason": each.reason} for each in explanation.changes
        ],
    }
    if plan.advice:
        shown["advice"] = plan.advice
    if plan.refusal is not None:
        refusal = plan.refusal
        shown["refusal"] = {"status": refusal.status, "code": refusal.code, "message": refusal.message}
    return shown


def _row(item: Candidate | Rejected, usage: Usage, fleet: Fleet) -> dict[str, Any]:
    """cost_usd: of an answer of usual length, at the dearest hour; None where no price is known.

    predicted_ttft_ms: of a model of the box, for this prompt; of a cloud, as its latest answers had it. None: not known.
    """
    target, price = item.target, item.target.price
    cost = None if price is None else round(price.most(usage)) / 1e6
    state, cloud = fleet.models.get(target.name, fleet.local), fleet.targets.get(target.name)
    ttft_s = (
        state.predicted_ttft_s
        if target.local and not target.peer and state is not None and state.replicas_ready
        else None
    )
    ttft_s = cloud.ttft_s if cloud is not None else ttft_s
    return {
        "target": target.label,
        "name": target.name,
        "reason": item.reason,
        "words": item.words,
        "cost_usd": cost,
        "predicted_ttft_ms": None if ttft_s is None else round(ttft_s * 1000, 1),
    }
