"""The expected cost of a run's answers, before it begins. Pure.

An answer is expected to be as long as the same case's was last time, whoever gave it; else as long as the other answers to the
set; else as the case's `reference`, the good answer that its author wrote; else half of its limit of tokens, because models end
before it more often than not. A judge is another cost: see `runtime.quality.judge.estimate`.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import msgspec

from runtime.contract.targets import Target
from runtime.contract.usage import Usage
from runtime.money.cost import MICRO, cost
from runtime.quality.runs.database import PlannedCase
from runtime.quality.values import CaseResult, GoldenSet
from runtime.routing.facts.facts import Facts
from runtime.routing.facts.tokens import plain_tokens

_UNKNOWN_TOKENS = 200
_LIMIT_SHARE = 0.5


class TargetEstimate(msgspec.Struct, frozen=True):
    """usd: None where no price is known. assumed: it rests on a length of thinking that nobody knows yet."""

    target: str
    answers: int
    usd: float | None
    assumed: bool = False


def expected_usage(
    cases: Sequence[PlannedCase],
    facts: Mapping[tuple[str, str], Facts],
    earlier: Sequence[CaseResult],
    goldens: Sequence[GoldenSet] = (),
) -> list[Usage]:
    """The tokens of each answer. facts: by set and case. earlier: results of the sets `goldens`."""
    own: dict[tuple[str, str, str], int] = {}
    anyones: dict[tuple[str, str], list[int]] = {}
    prompts: dict[tuple[str, str, str], int] = {}
    for each in earlier:
        if each.measures.completion_tokens:
            own[each.key[:3]] = each.measures.completion_tokens
            prompts[each.key[:3]] = each.measures.prompt_tokens
            anyones.setdefault((each.key.set, each.key.case), []).append(each.measures.completion_tokens)
    # The good answers that criteria name.
    good = {
        (golden.name, case.id): round(plain_tokens(str(check.options.get("reference", ""))))
        for golden in goldens
        for case in golden.cases
        for check in case.checks
        if "reference" in check.options
    }
    usual = [tokens for every in anyones.values() for tokens in every]
    found = []
    for each_case in cases:
        key, known = each_case.key, facts[each_case.key.set, each_case.key.case]
        likely = own.get(key[:3])
        if likely is None and (seen := anyones.get((key.set, key.case))):
            likely = round(statistics.mean(seen))
        if likely is None:
            limit = round((known.max_tokens or 2 * _UNKNOWN_TOKENS) * _LIMIT_SHARE)
            mean = round(statistics.mean(usual)) if usual else good.get((key.set, key.case), 0)
            likely = min(known.max_tokens or mean, mean) if mean else limit
        found.append(Usage(prompts.get(key[:3], known.prompt_tokens), likely))
    return found


def estimated(
    cases: Sequence[PlannedCase], usages: Sequence[Usage], targets: Mapping[str, Target], at: float
) -> list[TargetEstimate]:
    """usages: of the cases, one each. targets: by label. at: unix seconds."""
    found: dict[str, TargetEstimate] = {}
    for each, usage in zip(cases, usages, strict=True):
        usd = expected_usd(targets[each.key.target], usage, at)
        before = found.get(each.key.target, TargetEstimate(each.key.target, 0, 0.0))
        total = None if usd is None or before.usd is None else before.usd + usd
        found[each.key.target] = TargetEstimate(each.key.target, before.answers + 1, total)
    return list(found.values())


def expected_usd(target: Target, usage: Usage, at: float) -> float | None:
    """Dollars of one exchange; None where no price is known."""
    micro = 0 if target.on_box and target.price is None else cost(target, usage, at)
    return None if micro is None else micro / MICRO
