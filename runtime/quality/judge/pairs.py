"""The pairs that are judged: a week's sample, drawn by hash so that it is the same again, and anchors with a known winner."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from runtime.quality.judge.choice import families
from runtime.quality.sample.file import SampledAnswer
from runtime.quality.values import CaseResult, GoldenCase, Grade

MOST_ANCHORS = 60


class Drawn(NamedTuple):
    """weight: answers of its stratum that it stands for."""

    row: SampledAnswer
    weight: float


class Anchor(NamedTuple):
    """Two answers to one request, whose winner is known: by a golden case that one of them passes, or by people.

    body: the request. label: 1 if a is better, 0 if b is, 0.5 if they are alike. by: labels of the targets that gave a and b,
    "" where that is not known. votes: of each person, "a", "b" or "tie". requires: certificates a judge of it must have.
    """

    id: str
    body: Mapping[str, Any]
    a: str
    b: str
    label: float
    by: tuple[str, str] = ("", "")
    votes: tuple[str, ...] = ()
    requires: frozenset[str] = frozenset()


def drawn(rows: Iterable[SampledAnswer], week: str, most: int) -> list[Drawn]:
    """At most so many rows of a week, from each task and answering target in proportion, at least one of each."""
    strata: dict[tuple[str, str], list[SampledAnswer]] = {}
    for row in rows:
        strata.setdefault((row.task or "", row.target), []).append(row)
    total = sum(map(len, strata.values()))
    found: list[Drawn] = []
    for own in sorted(strata.values(), key=len):
        wanted = min(len(own), max(1, round(most * len(own) / total)), most - len(found))
        chosen = sorted(own, key=lambda row: _number(week, row.id))[: max(0, wanted)]
        found += [Drawn(row, len(own) / len(chosen)) for row in chosen]
    return found


def anchors(results: Iterable[tuple[CaseResult, GoldenCase]], most: int = MOST_ANCHORS) -> list[Anchor]:
    """Pairs of a passing and a failing answer to the same case, drawn by hash. Judged checks give none."""
    good: dict[str, CaseResult] = {}
    bad: dict[str, CaseResult] = {}
    cases: dict[str, GoldenCase] = {}
    for result, case in results:
        if not result.answer or case.judged:
            continue
        cases[case.hash] = case
        if result.grade is Grade.PASS:
            good.setdefault(case.hash, result)
        elif result.grade in (Grade.WRONG, Grade.MALFORMED):
            bad.setdefault(case.hash, result)
    found = []
    for hash in sorted(good.keys() & bad.keys(), key=lambda each: _number("anchor", each))[:most]:
        a_wins = _number("side", hash) % 2 == 0
        a, b = (good[hash], bad[hash]) if a_wins else (bad[hash], good[hash])
        by = (a.key.target, b.key.target)
        found.append(Anchor(hash, cases[hash].body, a.answer, b.answer, float(a_wins), by))
    return found


def family_rows(judge: str, scored: Iterable[tuple[float, Anchor]]) -> list[tuple[float, float, bool]]:
    """The rows of `trust.own_family`: the judge's scores of anchors, whose answers are of its own family or of others.

    A pair without an answer of the family counts from both sides, since its labels are then two different ones.
    """
    rows = []
    for score, anchor in scored:
        if not all(anchor.by):
            continue
        a, b = (bool(families(judge) & families(each)) for each in anchor.by)
        if a is not b:
            rows.append((score, anchor.label, True) if a else (1 - score, 1 - anchor.label, True))
        elif not a:
            rows.append((score, anchor.label, False))
            rows += [(1 - score, 1 - anchor.label, False)] if anchor.label != 0.5 else []
    return rows


def shown_request(body: Mapping[str, object]) -> str:
    """A request as the judge reads it: the turns with their roles, and the tools."""
    system, messages = body.get("system"), body.get("messages")
    turns = messages if isinstance(messages, Sequence) else [{"content": body.get("prompt", body.get("input"))}]
    lines = [f"system: {system}"] if isinstance(system, str) else []
    lines += [
        f"{turn.get('role', 'user')}: {_text(turn.get('content'))}{_text(turn.get('tool_calls') or '')}"
        for turn in turns
        if isinstance(turn, Mapping)
    ]
    if body.get("tools"):
        lines.append(f"tools: {_text(body['tools'])}")
    return "\n\n".join(lines)


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [each["text"] for each in parts if isinstance(each, Mapping) and isinstance(each.get("text"), str)]
    return "\n".join(texts) if texts else str(content or "")


def _number(*words: str) -> int:
    return int.from_bytes(hashlib.blake2b("\0".join(words).encode(), digest_size=8).digest())
