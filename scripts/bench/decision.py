"""The cost of a decision: facts, task, score and plan, in CPU time of the thread, at 2 kB and at 100 kB.

    python -m scripts.bench decision [--rounds 300] [--data FOLDER]

Prompts are made of sentences that differ each time, or of the open prompts in FOLDER. Each round reads another prompt once,
with nothing kept from the round before. The collector is off while a round is timed, as it rarely runs within one request.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runtime.contract.prices import Price
from runtime.contract.targets import Capabilities, Target
from runtime.life.planning import Planner
from runtime.routing.plan.names import build
from runtime.routing.plan.picture import Fleet, LocalState, TargetState
from runtime.routing.plan.plan import RoutingPolicy
from runtime.settings import Escalation, Routes

SIZES = (2_000, 100_000)
MEDIAN_MS, P99_MS = 0.5, 1.0
LOCAL = Target("local", "local", "small", Capabilities(context_tokens=200_000), on_box=True)
CLOUDS = tuple(
    Target(name, name, "large", Capabilities(context_tokens=1_000_000), price=Price(3.0, 15.0)) for name in "ab"
)
WORDS = [
    "the",
    "team",
    "report",
    "deadline",
    "of",
    "customers",
    "budget",
    "because",
    "which",
    "contract",
    "system",
    "about",
    "energy",
    "policy",
    "market",
    "result",
    "sample",
    "analysis",
    "they",
    "reviewed",
    "several",
    "options",
    "before",
    "choosing",
    "a",
    "supplier",
    "for",
    "new",
    "equipment",
    "while",
    "costs",
    "rose",
    "quickly",
    "last",
    "year",
    "where",
    "when",
    "who",
    "compare",
    "explain",
    "value",
    "method",
    "number",
    "between",
    "probability",
    "function",
    "language",
    "history",
    "review",
]


class StillFleet:
    """A calm engine and two clouds."""

    def __init__(self) -> None:
        self._fleet = Fleet(LocalState(LOCAL), {cloud.name: TargetState(cloud) for cloud in CLOUDS})

    def picture(self, *_: Any, **__: Any) -> Fleet:
        return self._fleet


def prompts(size: int, rounds: int, given: Sequence[str], dice: random.Random) -> Iterator[str]:
    """Texts of a size, no two alike."""
    for _ in range(rounds):
        pieces: list[str] = []
        length = 0
        while length < size:
            piece = dice.choice(given) if given else " ".join(dice.choices(WORDS, k=dice.randint(4, 20))) + ". "
            pieces.append(piece)
            length += len(piece)
        yield "".join(pieces)[:size]


def measure(size: int, rounds: int, given: Sequence[str] = ()) -> list[float]:
    """Milliseconds of CPU time of each decision, sorted."""
    policy = RoutingPolicy(Escalation(tasks=("code",)), (), Routes(complex=("a",)), build(LOCAL, CLOUDS, {}))
    planner, fleet, taken = Planner(policy), StillFleet(), []
    gc.disable()
    try:
        for prompt in prompts(size, rounds, given, random.Random(size)):
            body = {"model": "auto", "messages": [{"role": "user", "content": prompt}], "stream": True}
            start = time.thread_time_ns()
            planner.plan(planner.read("openai_chat", body, {}), fleet, 0.0)
            taken.append((time.thread_time_ns() - start) / 1e6)
    finally:
        gc.enable()
    return sorted(taken)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench decision", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--data", type=Path, help="a folder of JSON lines with a `prompt` each")
    options = parser.parse_args(arguments)
    files = sorted(options.data.glob("*.jsonl")) if options.data else []
    lines = [line for file in files for line in file.read_text(encoding="utf-8").strip().split("\n")]
    given = [f"{json.loads(line)['prompt']}\n" for line in lines]
    kept = True
    for size in SIZES:
        taken = measure(size, options.rounds, given)
        median, last = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
        kept = kept and median <= MEDIAN_MS and last <= P99_MS
        print(
            f"{size // 1000:>4} kB  median {median:.2f} ms (at most {MEDIAN_MS})  p99 {last:.2f} ms (at most {P99_MS})"
        )
    return 0 if kept else 1
