"""Spill-over, simulated: how many requests get their first token in time, and what the cloud's share of them costs.

    python scripts/bench/spill.py [--trace FILE] [--minutes 26 34] [--keep 0.33] [--seed 1 …] [--json]

Replays a stretch of a public trace of arrivals and lengths against a model of a batching engine and of a cloud, under
several policies, ours among them: the runtime's own ledger and thresholds, as they ship but for the time to first token
aimed at. Nothing of it is real but the arrivals and the lengths; all constants are below.
"""

from __future__ import annotations

import argparse
import copy
import csv
import itertools
import json
import math
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from runtime.settings import Escalation  # noqa: E402  (a script finds the checkout it stands in)
from scripts.bench.spill_bound import sent_away  # noqa: E402
from scripts.bench.spill_box import Hearth  # noqa: E402
from scripts.bench.spill_engine import Blind, Engine, Request, Speed, Witness  # noqa: E402
from scripts.bench.spill_lane import WithLane  # noqa: E402

TARGET_S = 1.5
GAUGE_S = 3.0
CLOUD_TTFT_S, CLOUD_SIGMA = 0.8, 0.12
PRICE_IN, PRICE_OUT = 3.0, 15.0  # dollars per million tokens
COMPRESS = 4
SCALE, MOST_PROMPT, MOST_OUTPUT = 0.25, 3_500, 400
WARM_UP_S = 15.0


class Policy(Witness, Protocol):
    """Decides for each request, and sees what leaves the engines."""

    def choose(self, request: Request, engines: Sequence[Engine]) -> int | None:
        """The engine that takes the request; None: it leaves."""
        ...

    def answered(self, ttft_s: float) -> None:
        """The cloud began an answer after so many seconds."""
        ...

    def next_look(self) -> float:
        """When a request that waits is to be looked at again; infinite: none is."""
        ...

    def look(self, now: float) -> Request | None:
        """The request that leaves after all, if the one that is due does."""
        ...


class Simple(Blind):
    """A policy that is one expression: it leaves if the test holds for the least busy engine."""

    def __init__(self, test: Callable[[Request, Engine], bool]) -> None:
        self._test = test

    def choose(self, request: Request, engines: Sequence[Engine]) -> int | None:
        least = min(range(len(engines)), key=lambda place: engines[place].in_flight)
        return None if self._test(request, engines[least]) else least


class Gauges(Blind):
    """`max(waiting/5, kv/0.8)` over gauges that are up to GAUGE_S old. frozen: read once."""

    def __init__(self, *, frozen: bool = False) -> None:
        self._frozen = frozen
        self._at, self._values = -math.inf, [0.0]

    def choose(self, request: Request, engines: Sequence[Engine]) -> int | None:
        if request.at - self._at >= (math.inf if self._frozen and self._at >= 0 else GAUGE_S):
            self._at = request.at
            self._values = [max(len(each.queue) / 5, each.kv / each.speed.kv_tokens / 0.8) for each in engines]
        least = min(range(len(engines)), key=self._values.__getitem__)
        return None if self._values[least] >= 1.0 else least


def knows_lengths(request: Request, engine: Engine) -> bool:
    """Runs the engine ahead with every length known: leaves when its first token, or another's, would come too late."""
    ahead = copy.deepcopy(engine)
    mine = copy.copy(request)
    ahead.send(mine)
    waiting = [other for other in ahead.queue if other.first_at is None]
    ahead.run(request.at + TARGET_S, Blind())
    return any(other.first_at is None or other.first_at - other.at > TARGET_S for other in waiting)


def requests(trace: Path, minutes: Sequence[float], keep: float, seed: int) -> list[Request]:
    """The stretch of the trace, compressed and thinned, behind a warm-up at half its rate that is not counted."""
    chance = random.Random(seed)
    found: list[Request] = []
    start: datetime | None = None
    with trace.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines)):
            at = datetime.fromisoformat(row["TIMESTAMP"][:26])
            start = start or at
            second = ((at - start).total_seconds() - minutes[0] * 60) / COMPRESS
            counted = second >= 0
            if not -WARM_UP_S <= second < (minutes[1] - minutes[0]) * 60 / COMPRESS:
                continue
            if chance.random() < (keep if counted else keep / 2):
                prompt = min(MOST_PROMPT, max(1, round(int(row["ContextTokens"]) * SCALE)))
                output = min(MOST_OUTPUT, max(1, round(int(row["GeneratedTokens"]) * SCALE)))
                found.append(Request(str(number), second + WARM_UP_S, prompt, output, counted))
    return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """Shares of the counted requests. late: of those that an engine answered."""

    policy: str
    within: float
    cloud: float
    dollars: float
    p99_s: float
    count: int
    p50_s: float = 0.0
    p95_s: float = 0.0
    batch_tokens_per_s: float = 0.0
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """The box of a simulation. size: of each engine. slower: (from which second on, how many times) everything takes longer."""

    replicas: int = 1
    size: float = 1.0
    slower: tuple[float, float] | None = None
    frozen: bool = False

    def engines(self) -> list[Engine]:
        return [Engine(Speed().scaled(self.size), self.slower) for _ in range(self.replicas)]


def simulate(
    name: str, policy: Callable[[Sequence[Engine]], Policy], asked: Iterable[Request], seed: int, scene: Scene = Scene()
) -> Outcome:
    """Every request through one policy, made for the engines of a scene."""
    engines, chance = scene.engines(), random.Random(seed)
    chosen = policy(engines)
    mine = [copy.copy(request) for request in asked]
    for request in mine:
        looked(chosen, engines, request.at, chance)
        for engine in engines:
            engine.run(request.at, chosen)
        latency = CLOUD_TTFT_S * math.exp(chance.gauss(0.0, CLOUD_SIGMA))
        place = chosen.choose(request, engines)
        if place is None:
            request.cloud, request.first_at = True, request.at + latency
            chosen.answered(latency)
        else:
            request.replica = place
            engines[place].send(request)
    looked(chosen, engines, math.inf, chance)
    for engine in engines:
        engine.drain(chosen)
    return _outcome(name, [request for request in mine if request.counted])


def looked(chosen: Policy, engines: Sequence[Engine], until: float, chance: random.Random) -> None:
    """The looks that are due before a time: requests that have waited too long leave the engines."""
    while (at := chosen.next_look()) < until:
        for engine in engines:
            engine.run(at, chosen)
        moved = chosen.look(at)
        if moved is not None:
            engines[moved.replica].cancel(moved)
            moved.cloud = moved.moved = True
            latency = CLOUD_TTFT_S * math.exp(chance.gauss(0.0, CLOUD_SIGMA))
            moved.first_at = at + latency
            chosen.answered(latency)


def _outcome(name: str, counted: list[Request]) -> Outcome:
    if not counted:
        return Outcome(name, 1.0, 0.0, 0.0, 0.0, 0)
    ttfts = sorted((request.first_at or math.inf) - request.at for request in counted)
    away = [request for request in counted if request.cloud]
    dollars = sum(request.prompt * PRICE_IN + request.output * PRICE_OUT for request in away) / 1e6
    within = sum(ttft <= TARGET_S for ttft in ttfts) / len(ttfts)
    p50, p95, p99 = (ttfts[min(len(ttfts) - 1, int(len(ttfts) * share))] for share in (0.5, 0.95, 0.99))
    late = sum(not each.cloud and (each.first_at or math.inf) - each.at > TARGET_S for each in counted)
    late_share = late / max(1, len(counted) - len(away))
    return Outcome(name, within, len(away) / len(counted), dollars, p99, len(counted), p50, p95, late=late_share)


Make = Callable[[Sequence[Engine]], Policy]


def in_flight_below(limit: int) -> Make:
    return lambda engines: Simple(lambda request, engine: engine.in_flight >= limit)


def hearth(scene: Scene = Scene(), **escalation: Any) -> Callable[[Sequence[Engine]], Hearth]:
    """The runtime with the settings of an empty file, but for the time to first token aimed at."""
    settings = Escalation(ttft_ms=round(TARGET_S * 1000), complexity=1.0, **escalation)
    return lambda engines: Hearth(settings, engines, (PRICE_IN, PRICE_OUT), frozen=scene.frozen)


def beside_a_batch(asked: Sequence[Request], seed: int, scene: Scene = Scene()) -> list[Outcome]:
    """The trace alone, a batch alone, and both. The lines of the batch are as long as the requests of the trace, in another
    order; nothing of it leaves the box.
    """
    settings = Escalation(ttft_ms=round(TARGET_S * 1000), complexity=1.0)
    end = asked[-1].at
    lanes: list[WithLane] = []

    def with_lane(engines: Sequence[Engine]) -> Hearth:
        sizes = [(request.prompt, request.output) for request in asked]
        random.Random(seed).shuffle(sizes)
        lanes.append(WithLane(settings, engines, (PRICE_IN, PRICE_OUT), itertools.cycle(sizes), end))
        return lanes[-1]

    alone = simulate("the trace alone", hearth(scene), asked, seed, scene)
    simulate("a batch alone", with_lane, [], seed, scene)
    both = simulate("the trace beside a batch", with_lane, asked, seed, scene)
    rates = [lane.tokens_per_s(WARM_UP_S, end) for lane in lanes]
    nobody = Outcome("a batch alone", 1.0, 0.0, 0.0, 0.0, 0, batch_tokens_per_s=rates[0])
    return [alone, nobody, replace(both, batch_tokens_per_s=rates[1])]


def policies(limit: int, scene: Scene) -> dict[str, Make]:
    return {
        "local only": lambda engines: Simple(lambda request, engine: False),
        "all cloud": lambda engines: Simple(lambda request, engine: True),
        f"static max(waiting/5, kv/0.8), gauges {GAUGE_S:.0f} s old": lambda engines: Gauges(frozen=scene.frozen),
        f"in-flight count, best by hand ({limit})": in_flight_below(limit),
        "knows all lengths, not the future": lambda engines: Simple(knows_lengths),
        "Hearth": hearth(scene),
    }


def knows_all(asked: list[Request], scene: Scene = Scene()) -> Make:
    """The bound for one engine: fewest requests away with 99 % of the rest in time."""
    gone = sent_away(asked, lambda: replace(scene, replicas=1).engines()[0], TARGET_S)
    return lambda engines: Simple(lambda request, engine: request.id in gone)


def best_limit(asked: list[Request], seed: int, scene: Scene) -> int:
    """The in-flight limit with the fewest leaving among those that keep 99.5 % within the target."""
    ranked: list[tuple[bool, float, int]] = []
    for limit in range(2, 2 * Speed().slots):
        outcome = simulate("", in_flight_below(limit), asked, seed, scene)
        missed = outcome.within < 0.995
        ranked.append((missed, -outcome.within if missed else outcome.cloud, limit))
    return min(ranked)[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = Path(os.environ.get("HEARTH_SHARED", ROOT.parent / "shared"))
    parser.add_argument("--trace", type=Path, default=shared / "traces" / "azure_llm_2023_conv.csv")
    parser.add_argument("--minutes", type=float, nargs=2, default=(26, 34))
    parser.add_argument("--keep", type=float, default=0.33)
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="one table each; one seed alone says little")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--size", type=float, default=1.0, help="of each engine: slots, cache and speed")
    parser.add_argument("--slower", type=float, default=1.0, help="times slower, from half-way on")
    parser.add_argument("--frozen", action="store_true", help="gauges are read once and never again")
    parser.add_argument(
        "--bound", action="store_true", help="also the bound of who knows all (20 s; of one engine as it is)"
    )
    parser.add_argument("--batch", action="store_true", help="the trace alone, a full batch lane alone, and both")
    given = parser.parse_args()
    half = WARM_UP_S + (given.minutes[1] - given.minutes[0]) * 60 / COMPRESS / 2
    scene = Scene(given.replicas, given.size, (half, given.slower) if given.slower != 1.0 else None, given.frozen)
    for seed in given.seed:
        asked = requests(given.trace, given.minutes, given.keep, seed)
        if given.batch:
            outcomes = beside_a_batch(asked, seed, scene)
        else:
            rules = policies(best_limit(asked, seed, scene), scene)
            if given.bound:
                rules["knows all, the future too"] = knows_all(asked, scene)
            outcomes = [simulate(name, policy, asked, seed, scene) for name, policy in rules.items()]
        if given.json:
            print(json.dumps({"seed": seed, "outcomes": [asdict(outcome) for outcome in outcomes]}))
        else:
            print("\n".join(table(seed, outcomes)) + "\n")


def table(seed: int, outcomes: list[Outcome]) -> Iterator[str]:
    """Lines of a table in Markdown."""
    columns = f"within {TARGET_S} s | to the cloud | $ | p50 TTFT | p95 | p99 | batch tokens/s"
    yield f"| seed {seed}, {outcomes[0].count} requests | {columns} |"
    yield "| --- " * 8 + "|"
    for row in outcomes:
        times = f"{row.p50_s:.2f} s | {row.p95_s:.2f} s | {row.p99_s:.2f} s | {row.batch_tokens_per_s:.0f}"
        yield f"| {row.policy} | {row.within:.1%} | {row.cloud:.1%} | {row.dollars:.2f} | {times} |"


if __name__ == "__main__":
    main()
