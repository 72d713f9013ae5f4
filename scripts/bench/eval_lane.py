"""What a run over golden sets on the box's own engine costs interactive requests, on a real vLLM.

    python -m scripts.bench eval_lane [--rounds 3] [--seconds 60] [--json]

Hearth starts and owns the engine (the built-in model, the environment of `make engine`). A round has three parts of the same
length: one interactive request a second with nothing else; the same beside a run over 80 golden cases, begun over HTTP as
`hearth eval run --target local` begins it; and again with nothing else. Each round is judged by itself, because the machine
drifts, and the worst round counts:

    p95 of the time to a first token beside the run <= 1.1 x the p95 alone + one step of the engine

Alone is the mean of the two p95s around the run. A step is the median time between two tokens of the interactive answers
beside the run.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local_models.installer import progress
from runtime.trust.admin_key import local_admin_key
from scripts.bench.batch_lane import MOST_GROWN, Bench, p95, serving
from scripts.bench.rounds import JudgedRound, rounds_main

_CASES = 80
_ANSWER = 48  # tokens of a golden answer, at most
_RUNS = "/hearth/quality/runs"
_PATIENCE_S = 120.0  # for the answers under way when a run is ended


@dataclass(frozen=True, slots=True)
class EvalRound(JudgedRound):
    """Milliseconds. before, after: p95 with nothing else. answers: golden ones, during the part. load: over one minute."""

    before: float
    beside: float
    after: float
    step: float
    answers: int
    failed: int
    load: float

    @property
    def bound(self) -> float:
        return MOST_GROWN * (self.before + self.after) / 2 + self.step

    @property
    def kept(self) -> bool:
        return self.beside <= self.bound and self.answers > 0 and not self.failed

    @property
    def words(self) -> str:
        return (
            f"first token p95 {self.before:.0f} alone, {self.beside:.0f} beside the "
            f"run, {self.after:.0f} alone again (at most {self.bound:.0f}, a step {self.step:.0f} ms); "
            f"{self.answers} golden answers, {self.failed} failed; load {self.load:.1f}"
        )


def golden_set() -> dict[str, object]:
    """Eighty cases, written as a file of a set would have them."""
    checks = [{"kind": "contains", "want": "a"}]
    cases = [
        {
            "id": f"c{number}",
            "hash": f"c{number}",
            "checks": checks,
            "body": {
                "max_tokens": _ANSWER,
                "messages": [{"role": "user", "content": f"Describe the number {number}."}],
            },
        }
        for number in range(_CASES)
    ]
    return {"name": "bench", "hash": "bench", "cases": cases}


async def rounds_of(bench: Bench, rounds: int, seconds: float, line: progress.StepLine) -> list[EvalRound]:
    found: list[EvalRound] = []
    await bench.interactive(5)
    for turn in range(rounds):
        line.update(f"round {turn + 1} of {rounds}")
        load = os.getloadavg()[0]
        before = await bench.interactive(seconds)
        begun = await bench.hearth.post(_RUNS, json={"targets": ["local"], "sets": [golden_set()]})
        place = f"{_RUNS}/{begun.raise_for_status().json()['id']}"
        beside = await bench.interactive(seconds)
        answers = int((await bench.hearth.get(place)).json()["done"])
        await bench.hearth.post(f"{place}/cancel")
        async with asyncio.timeout(_PATIENCE_S):
            while (await bench.hearth.get(place)).json().get("closed_at") is None:  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.2)
        after = await bench.interactive(seconds)
        found.append(
            EvalRound(
                1000 * p95(before.ttfts),
                1000 * p95(beside.ttfts),
                1000 * p95(after.ttfts),
                1000 * statistics.median(beside.gaps),
                answers,
                before.failed + beside.failed + after.failed,
                load,
            )
        )
    return found


async def measured(folder: Path, rounds: int, seconds: float, slots: int, line: progress.StepLine) -> list[EvalRound]:
    async with serving(folder, slots, line) as bench:
        bench.hearth.headers["authorization"] = f"Bearer {local_admin_key(folder / 'state')}"
        return await rounds_of(bench, rounds, seconds, line)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every round kept the bound."""
    return rounds_main("eval_lane", "Golden sets", __doc__, measured, arguments)


if __name__ == "__main__":
    sys.exit(main())
