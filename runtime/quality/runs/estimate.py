"""The expected cost of a run, before it begins. Pure.

An answer is expected to be as long as the same case's was last time, whoever gave it; else as long as the other answers to the
set; else half of its limit of tokens, because models end before it more often than not.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import msgspec

from runtime.contract.targets import Target
from runtime.contract.usage import Usage
from runtime.money.cost import MICRO, cost
from runtime.quality.runs.database import PlannedCase
from runtime.quality.values import CaseResult
from runtime.routing.facts.facts import Facts

_UNKNOWN_TOKENS = 200
_LIMIT_SHARE = 0.5


class TargetEstimate(msgspec.Struct, frozen=True):
    """usd: None where no price is known."""

    target: str
    answers: int
    usd: float | None


def estimated(
    cases: Sequence[PlannedCase],
    facts: Mapping[tuple[str, str], Facts],
    targets: Mapping[str, Target],
    earlier: Sequence[CaseResult],
    at: float,
) -> list[TargetEstimate]:
    """facts: by set and case. targets: by label. earlier: results of the same sets. at: unix seconds."""
    own: dict[tuple[str, str, str], int] = {}
    anyones: dict[tuple[str, str], list[int]] = {}
    prompts: dict[tuple[str, str, str], int] = {}
    for each in earlier:
        if each.measures.completion_tokens:
            own[each.key[:3]] = each.measures.completion_tokens
            prompts[each.key[:3]] = each.measures.prompt_tokens
            anyones.setdefault((each.key.set, each.key.case), []).append(each.measures.completion_tokens)
    usual = [tokens for every in anyones.values() for tokens in every]
    found: dict[str, TargetEstimate] = {}
    for each_case in cases:
        key, known = each_case.key, facts[each_case.key.set, each_case.key.case]
        target = targets[key.target]
        likely = own.get(key[:3])
        if likely is None and (seen := anyones.get((key.set, key.case))):
            likely = round(statistics.mean(seen))
        if likely is None:
            limit = round((known.max_tokens or 2 * _UNKNOWN_TOKENS) * _LIMIT_SHARE)
            likely = min(limit, round(statistics.mean(usual))) if usual else limit
        usage = Usage(prompts.get(key[:3], known.prompt_tokens), likely)
        micro = 0 if target.on_box and target.price is None else cost(target, usage, at)
        before = found.get(key.target, TargetEstimate(key.target, 0, 0.0))
        usd = None if micro is None or before.usd is None else before.usd + micro / MICRO
        found[key.target] = TargetEstimate(key.target, before.answers + 1, usd)
    return list(found.values())
