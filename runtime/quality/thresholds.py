"""The complexity threshold that sends a wanted share of requests away, chosen on a part of them and tried on the rest. Pure.

Counted are the requests that `[escalation] cloud_share` counts: `auto`, and free to stay or to leave. For each, `plan()` is
made twice, with all scores sending away and with none: that shows whether the score decides, the load does anyhow, or nothing.
The threshold is the quantile of the scores at which the wanted share leaves; its interval is that of the quantile by ranks,
and the share it is seen to send of the rest has a Clopper-Pearson interval. Both are exact at 95 % for independent requests.
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from runtime.contract.reasons import Reason
from runtime.contract.targets import LOCAL, Target
from runtime.life.kept import Kept
from runtime.life.planning import IdleFleet
from runtime.quality.binomial import clopper_pearson, ranks
from runtime.quality.replay import Unanswerable, replayed
from runtime.record.decisions import Decision
from runtime.routing.plan.plan import Plan, RoutingPolicy
from runtime.settings import Escalation

FEWEST = 100  # requests, of a task too, without which no threshold is proposed
NEVER, ALWAYS = -1.0, 2.0  # in place of a score: no threshold sends it away; the load does at any
_CHOSEN_ON = 2 / 3
_PLACES = 4
_ON_BOX = f"{LOCAL}/"
_DEFAULT = "default"


class TooFewRequestsError(ValueError):
    """Too few requests were free to stay or to leave. The message has the counts."""


class Free(msgspec.Struct, frozen=True):
    """A request that was free to stay or to leave. at: unix seconds. score: that from which on it leaves, NEVER or ALWAYS.

    stays_usd, leaves_usd: its cost on the box and off it, None where no price was recorded. weak, strong: grades of the local
    model's answer and of a strong one's, from labelled data.
    """

    at: float
    task: str
    score: float
    stays_usd: float | None = None
    leaves_usd: float | None = None
    weak: float | None = None
    strong: float | None = None


class Ends(NamedTuple):
    """A policy with which every score sends away, and one with which none does."""

    all: RoutingPolicy
    none: RoutingPolicy


class ShareInterval(msgspec.Struct, frozen=True):
    """Requests and those of them that leave. low, high: the interval of the true share."""

    requests: int
    left: int
    share: float
    low: float
    high: float


class TaskThreshold(msgspec.Struct, frozen=True):
    """requests: those of the task in the first part that a score moves. low, high: the interval of its threshold.

    held_out: of the task's requests in the second part, at the proposed thresholds.
    """

    task: str
    requests: int
    threshold: float
    low: float
    high: float
    held_out: ShareInterval | None = None


class Grades(msgspec.Struct, frozen=True):
    """Mean grades over the labelled requests of the second part, if all stay, at the proposal, and if all leave."""

    requests: int
    stays: float
    proposed: float
    leaves: float


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold for a wanted share.

    complexity: the value for the settings: one threshold, or by task. threshold: one for all tasks; low, high: its interval.
    chosen_on: the first part. held_out: the second part, at the proposal. split: "time" if the first part is the older one,
    else "random". now: all requests at the threshold of the settings. Costs: dollars over all requests at the settings'
    threshold and at the proposed one, of what has a recorded price; unpriced: those without one. unusable: the others, by why
    they do not count.
    """

    wanted: float
    requests: int
    unusable: dict[str, int]
    complexity: float | dict[str, float]
    threshold: float
    low: float
    high: float
    split: str
    chosen_on: ShareInterval
    held_out: ShareInterval
    now: ShareInterval
    by_task: tuple[TaskThreshold, ...]
    cost_usd_now: float | None = None
    cost_usd_proposed: float | None = None
    unpriced: int = 0
    grades: Grades | None = None
    confidence: float = 0.95


def ends(policy: RoutingPolicy) -> Ends:
    """Tasks whose threshold is 1 stay off, unless every threshold is."""
    escalation = policy.escalation
    wanted = {_DEFAULT: 0.0, **tasks_off(escalation)}
    changes = {"mode": "act", "classifier": "off", "cloud_share": 1.0}  # a share of more than 0 marks what is free

    def under(complexity: dict[str, float]) -> RoutingPolicy:
        return dataclasses.replace(
            policy, escalation=escalation.model_copy(update={**changes, "complexity": complexity})
        )

    return Ends(under({**dict.fromkeys(escalation.thresholds, 0.0), **wanted}), under({_DEFAULT: 1.0}))


def tasks_off(escalation: Escalation) -> dict[str, float]:
    """The tasks that no score sends away, with their threshold of 1; none if that is so of every task."""
    off = {task: 1.0 for task, limit in escalation.thresholds.items() if limit >= 1}
    return off if len(off) < len(escalation.thresholds) else {}


class Placed(NamedTuple):
    """A free request. stays, leaves: the first choices with scores that send nothing and everything away.

    score: NEVER or ALWAYS; None where its own score decides.
    """

    score: float | None
    stays: Target
    leaves: Target


def placed(plan: Callable[[RoutingPolicy], Plan], policies: Ends) -> Placed | str:
    """A free request's place; for another the reason why it does not count."""
    leaving, staying = plan(policies.all), plan(policies.none)
    if leaving.pinned:
        return "its model was pinned"
    if not (leaving.candidates and staying.candidates):
        return "it was refused"
    first, second = staying.candidates[0].target, leaving.candidates[0].target
    if not (leaving.free and staying.free):
        if staying.reason is not Reason.DEFAULT:
            return f"its place was decided before its score ({staying.reason})"
        return "only the box could take it" if first.local else "it was moved by name (prefer)"
    if not first.local:
        return Placed(ALWAYS, first, first)
    if leaving.reason is not Reason.COMPLEXITY:
        return Placed(NEVER, first, first)
    return Placed(None, first, second)


def recorded(decisions: Sequence[Decision], policy: RoutingPolicy, box: IdleFleet) -> tuple[list[Free], Counter[str]]:
    """The free requests among recorded decisions, and why the others do not count."""
    found: list[Free] = []
    unusable: Counter[str] = Counter()
    policies = ends(policy)
    for each in decisions:
        try:
            kept = replace(msgspec.convert(each.kept, Kept), shift=0.0)
            place = placed(partial(replayed, kept, box=box), policies)
        except msgspec.ValidationError:
            unusable["its record holds no facts: it failed before it was planned, or is of an older version"] += 1
            continue
        except Unanswerable as why:
            unusable[f"its score was not recorded, and cannot be found without {why}"] += 1
            continue
        if isinstance(place, str):
            unusable[place] += 1
            continue
        score = kept.score if place.score is None else place.score
        assert score is not None and kept.task is not None
        # What went away for another cause than its plan, an early confidence say, goes away at any threshold.
        if each.target and not each.target.startswith(_ON_BOX) and (kept.first or "").startswith(_ON_BOX):
            score = ALWAYS
        found.append(Free(each.at, kept.task, score, _cost(each, place.stays), _cost(each, place.leaves)))
    return found, unusable


def _cost(decision: Decision, target: Target) -> float | None:
    """Dollars of a recorded answer at a target, by the prices of its time. The box's own: 0 where they are unknown."""
    known = {each.target: each.cost_usd for each in decision.considered}
    found = decision.cost_usd if target.label == decision.target else known.get(target.label)
    return 0.0 if found is None and target.local else found


def proposal(
    wanted: float,
    requests: Sequence[Free],
    escalation: Escalation,
    *,
    by_task: bool = False,
    unusable: Mapping[str, int] | None = None,
) -> Proposal:
    """The threshold for a share, between 0 and 1. by_task: one for each task that has enough. Raises TooFewRequestsError."""
    if len(requests) < FEWEST:
        raise TooFewRequestsError(f"{len(requests):,} requests were free to stay or to leave; {FEWEST} are needed")
    # (1) Two parts. Labelled data has no times, and often stands in groups: it is drawn, always in the same way.
    timed = any(each.at for each in requests)
    order = sorted(requests, key=lambda each: each.at) if timed else random.Random(0).sample(requests, len(requests))
    cut = round(len(order) * _CHOSEN_ON)
    first, second = order[:cut], order[cut:]
    # (2) One threshold for all, with the interval of the quantile.
    scores = sorted((each.score for each in first), reverse=True)
    threshold = _threshold(scores, round(wanted * len(scores)))
    low, high = _interval(scores, wanted)
    # (3) Others for the tasks with enough, and one for all other tasks together. What is off stays off.
    tasks, rest = _by_task(first, wanted)
    table = {_DEFAULT: threshold}
    if by_task:
        table = {_DEFAULT: threshold if rest is None else rest, **{own.task: own.threshold for own in tasks}}
    table |= tasks_off(escalation)
    proposed = escalation.model_copy(update={"complexity": table})
    return Proposal(
        wanted=wanted,
        requests=len(requests),
        unusable=dict(unusable or {}),
        complexity=threshold if len(table) == 1 else table,
        threshold=threshold,
        low=low,
        high=high,
        split="time" if timed else "random",
        chosen_on=seen(first, proposed),
        held_out=seen(second, proposed),
        now=seen(requests, escalation),
        by_task=tuple(
            [replace(own, held_out=seen([r for r in second if r.task == own.task], proposed)) for own in tasks]
        ),
        grades=_grades(second, proposed),
        **costs(requests, escalation, proposed),
    )


def _by_task(requests: Sequence[Free], wanted: float) -> tuple[list[TaskThreshold], float | None]:
    """Thresholds of the tasks that have enough, and of the others together, None where there are none.

    Each sends the same share of what a score moves, such that with what the load sends away the sum is the wanted share.
    """
    moved = [each for each in requests if each.score not in (NEVER, ALWAYS)]
    missing = wanted * len(requests) - sum(each.score == ALWAYS for each in requests)
    share = max(0.0, min(missing / len(moved), 1.0)) if moved else 0.0
    scores: dict[str, list[float]] = {}
    counts = Counter(each.task for each in moved)
    for each in sorted(moved, key=lambda each: each.score, reverse=True):
        scores.setdefault(each.task if counts[each.task] >= FEWEST else _DEFAULT, []).append(each.score)
    found = {task: _threshold(own, round(share * len(own))) for task, own in scores.items()}
    rest = found.pop(_DEFAULT, None)
    return [TaskThreshold(t, counts[t], found[t], *_interval(scores[t], share)) for t in sorted(found)], rest


def leaves(request: Free, escalation: Escalation) -> bool:
    """True if the request leaves under thresholds of complexity."""
    return request.score >= escalation.threshold(request.task)


def seen(requests: Sequence[Free], escalation: Escalation) -> ShareInterval:
    """The share of requests that leaves, with the interval of the true one."""
    left, count = sum(leaves(each, escalation) for each in requests), len(requests)
    low, high = clopper_pearson(left, count)
    return ShareInterval(
        count, left, round(left / count, _PLACES) if count else 0.0, round(low, _PLACES), round(high, _PLACES)
    )


def _threshold(scores: Sequence[float], wanted: int) -> float:
    """The threshold at which the number of scores at and above it is nearest to a wanted one. scores: falling."""
    moved = [score for score in scores if score not in (NEVER, ALWAYS)]
    always = sum(score == ALWAYS for score in scores)
    best, missed = 1.0, abs(always - wanted)  # at 1 no score sends away
    for at, score in enumerate(moved, 1):
        below = moved[at] if at < len(moved) else 0.0
        if (score > below or at == len(moved)) and abs(always + at - wanted) < missed:
            # Between this score and the next, so that a score as close to either falls on its side.
            rounded = [round((score + below) / 2, places) for places in (_PLACES, 2 * _PLACES)]
            best = next((middle for middle in rounded if below < middle <= score), score)
            missed = abs(always + at - wanted)
    return best


def _interval(scores: Sequence[float], share: float) -> tuple[float, float]:
    """Bounds of the threshold that the true share reaches. scores: falling."""
    known = [1.0, *(max(0.0, min(score, 1.0)) for score in scores), 0.0]
    high, low = ranks(len(scores), share)
    return round(known[low], _PLACES), round(known[high], _PLACES)


def _grades(requests: Sequence[Free], escalation: Escalation) -> Grades | None:
    graded = [(each.weak, each.strong, leaves(each, escalation)) for each in requests]
    known = [(weak, strong, left) for weak, strong, left in graded if weak is not None and strong is not None]
    if not known:
        return None
    sums = sum(one for one, _, _ in known), sum(two if left else one for one, two, left in known)
    means = [round(total / len(known), _PLACES) for total in (*sums, sum(two for _, two, _ in known))]
    return Grades(len(known), *means)


def costs(requests: Sequence[Free], now: Escalation, proposed: Escalation) -> dict[str, Any]:
    """The members of a Proposal about dollars."""
    priced = [each for each in requests if each.stays_usd is not None and each.leaves_usd is not None]
    if not priced:
        return {"unpriced": len(requests)}
    sums = [
        round(sum((each.leaves_usd if leaves(each, under) else each.stays_usd) or 0.0 for each in priced), 6)
        for under in (now, proposed)
    ]
    return {"cost_usd_now": sums[0], "cost_usd_proposed": sums[1], "unpriced": len(requests) - len(priced)}
