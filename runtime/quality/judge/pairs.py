"""The pairs that are judged: a week's sample, drawn by hash so that it is the same again, and anchors with a known winner."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from runtime.quality.sample.file import SampledAnswer
from runtime.quality.values import CaseResult, GoldenCase, Grade


class Drawn(NamedTuple):
    """weight: answers of its stratum that it stands for."""

    row: SampledAnswer
    weight: float


class Anchor(NamedTuple):
    """Two answers to one golden case, one of which passes. a_wins: the label."""

    id: str
    case: GoldenCase
    a: str
    b: str
    a_wins: bool


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


def anchors(results: Iterable[tuple[CaseResult, GoldenCase]], most: int = 60) -> list[Anchor]:
    """Pairs of a passing and a failing answer to the same case, drawn by hash. Judged checks give none."""
    good: dict[str, CaseResult] = {}
    bad: dict[str, CaseResult] = {}
    cases: Mapping[str, GoldenCase] = {}
    for result, case in results:
        if not result.answer or case.judged:
            continue
        cases = {**cases, case.hash: case}
        if result.grade is Grade.PASS:
            good.setdefault(case.hash, result)
        elif result.grade in (Grade.WRONG, Grade.MALFORMED):
            bad.setdefault(case.hash, result)
    found = []
    for hash in sorted(good.keys() & bad.keys(), key=lambda each: _number("anchor", each))[:most]:
        a_wins = _number("side", hash) % 2 == 0
        one, other = good[hash].answer, bad[hash].answer
        found.append(Anchor(hash, cases[hash], *((one, other) if a_wins else (other, one)), a_wins))
    return found


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
