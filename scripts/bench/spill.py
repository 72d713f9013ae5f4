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
import json
import math
import os
import random
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from runtime.load.ledger import InFlight, Ledger  # noqa: E402  (a script finds the checkout it stands in)
from runtime.load.saturation import Saturation, read  # noqa: E402
from runtime.settings import Escalation  # noqa: E402

TARGET_S = 1.5
SLOTS = 24
STEP_S = 0.012
STEP_PER_SEQUENCE_S = 0.0006
PREFILL_PER_S = 5_000
STEP_TOKENS = 2_048  # prefill and decode together, vLLM's default
KV_TOKENS = 10_000
GAUGE_S = 3.0
CLOUD_TTFT_S, CLOUD_SIGMA = 0.8, 0.12
PRICE_IN, PRICE_OUT = 3.0, 15.0  # dollars per million tokens
COMPRESS = 4
SCALE, MOST_PROMPT, MOST_OUTPUT = 0.25, 3_500, 400
WARM_UP_S = 15.0


@dataclass(slots=True)
class Request:
    """at: seconds of the simulation. done: tokens generated so far; left: prompt tokens still to be read."""

    id: str
    at: float
    prompt: int
    output: int
    counted: bool
    done: int = 0
    left: int = 0
    first_at: float | None = None
    cloud: bool = False

    @property
    def held(self) -> int:
        return self.prompt + self.done - self.left


class Witness(Protocol):
    """Who sees what leaves the engine."""

    def first_token(self, id: str, now: float) -> None: ...
    def tokens(self, id: str, n: int, now: float) -> None: ...
    def finish(self, id: str, now: float) -> None: ...


class Blind:
    """Sees nothing."""

    def first_token(self, id: str, now: float) -> None: ...
    def tokens(self, id: str, n: int, now: float) -> None: ...
    def finish(self, id: str, now: float) -> None: ...


@dataclass(slots=True)
class Engine:
    """Continuous batching: FIFO, chunked prefill, a KV cache that preempts the youngest when it overflows."""

    now: float = 0.0
    queue: deque[Request] = field(default_factory=deque)
    active: list[Request] = field(default_factory=list)

    @property
    def kv(self) -> int:
        return sum(request.held for request in self.active)

    @property
    def in_flight(self) -> int:
        return len(self.queue) + len(self.active)

    def send(self, request: Request) -> None:
        request.left = request.prompt
        self.queue.append(request)

    def run(self, until: float, witness: Witness) -> None:
        """Steps that begin before `until`."""
        while self.now < until and self.in_flight:
            self._step(witness)
        self.now = max(self.now, until)

    def drain(self, witness: Witness) -> None:
        while self.in_flight:
            self._step(witness)

    def _step(self, witness: Witness) -> None:
        self._admit()
        decoding = [request for request in self.active if not request.left]
        budget, read_now = STEP_TOKENS - len(decoding), 0
        readers: list[Request] = []
        for request in self.active:
            if request.left and budget > 0:
                part = min(request.left, budget)
                request.left -= part
                budget -= part
                read_now += part
                readers.append(request)
        self.now += STEP_S + STEP_PER_SEQUENCE_S * len(decoding) + read_now / PREFILL_PER_S
        for request in (*decoding, *(request for request in readers if not request.left)):
            self._emit(request, witness)
        self._preempt()

    def _admit(self) -> None:
        held = sum(request.prompt + request.done for request in self.active)
        while self.queue and len(self.active) < SLOTS:
            need = self.queue[0].prompt + self.queue[0].done
            if held + need > KV_TOKENS and self.active:
                return
            held += need
            self.active.append(self.queue.popleft())

    def _emit(self, request: Request, witness: Witness) -> None:
        request.done += 1
        if request.first_at is None:
            request.first_at = self.now
            witness.first_token(request.id, self.now)
        else:
            witness.tokens(request.id, 1, self.now)
        if request.done >= request.output:
            self.active.remove(request)
            witness.finish(request.id, self.now)

    def _preempt(self) -> None:
        while self.kv > KV_TOKENS and len(self.active) > 1:
            youngest = self.active.pop()
            youngest.left = youngest.prompt + youngest.done
            self.queue.appendleft(youngest)


class Policy(Protocol):
    """Whether a request leaves; it is told what stays."""

    def leaves(self, request: Request, engine: Engine) -> bool: ...
    @property
    def witness(self) -> Witness: ...


@dataclass(slots=True)
class Simple:
    """A policy that is one expression."""

    test: Callable[[Request, Engine], bool]
    witness: Witness = field(default_factory=Blind)

    def leaves(self, request: Request, engine: Engine) -> bool:
        return self.test(request, engine)


class Gauges:
    """`max(waiting/5, kv/0.8)` over gauges that are up to GAUGE_S old."""

    def __init__(self) -> None:
        self.witness: Witness = Blind()
        self._at, self._value = -math.inf, 0.0

    def leaves(self, request: Request, engine: Engine) -> bool:
        if request.at - self._at >= GAUGE_S:
            self._at = request.at
            self._value = max(len(engine.queue) / 5, engine.kv / KV_TOKENS / 0.8)
        return self._value >= 1.0


class Ours:
    """The runtime's ledger and thresholds, without knowing how long answers will be. kv: the KV threshold counts."""

    def __init__(self, escalation: Escalation, *, kv: bool = True) -> None:
        self._kv = kv
        self.ledger = Ledger(slots=SLOTS, kv_capacity=KV_TOKENS)
        self.saturation = Saturation(escalation)
        self.causes: dict[str, int] = {}
        self._sent: dict[str, InFlight] = {}
        self._now = 0.0

    @property
    def witness(self) -> Witness:
        return self

    def first_token(self, id: str, now: float) -> None:
        self._sent[id].first_token(now)

    def tokens(self, id: str, n: int, now: float) -> None:
        self._sent[id].tokens(n, now)

    def finish(self, id: str, now: float) -> None:
        self._now = now
        self._sent.pop(id).done()

    def leaves(self, request: Request, engine: Engine) -> bool:
        reading = read(self.ledger, request.prompt, request.at)
        reading = reading if self._kv else msgspec.structs.replace(reading, kv_cache=None)
        pressure = self.saturation.update(reading, request.at)
        if pressure.over is None:
            self._now = request.at
            sent = self.ledger.claim(request.prompt, None, lambda: self._now)
            self._sent[request.id] = sent.__enter__()  # its end is an event of the simulation
            return False
        if request.counted:
            self.causes[str(pressure.over)] = self.causes.get(str(pressure.over), 0) + 1
        return True


def knows_lengths(request: Request, engine: Engine) -> bool:
    """Runs the engine ahead with every length known: leaves when its first token, or another's, would come too late."""
    ahead = copy.deepcopy(engine)
    mine = copy.copy(request)
    ahead.send(mine)
    waiting = [other for other in ahead.queue if other.first_at is None]
    ahead.run(request.at + TARGET_S, Blind())
    due = [other for other in waiting if other.at + TARGET_S <= ahead.now]
    return any(other.first_at is None or other.first_at - other.at > TARGET_S for other in due)


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
    policy: str
    within: float
    cloud: float
    dollars: float
    p99_s: float
    count: int


def simulate(name: str, policy: Policy, asked: Iterable[Request], seed: int) -> Outcome:
    """Every request through one policy."""
    engine, chance = Engine(), random.Random(seed)
    mine = [copy.copy(request) for request in asked]
    for request in mine:
        engine.run(request.at, policy.witness)
        latency = CLOUD_TTFT_S * math.exp(chance.gauss(0.0, CLOUD_SIGMA))
        if policy.leaves(request, engine):
            request.cloud, request.first_at = True, request.at + latency
        else:
            engine.send(request)
    engine.drain(policy.witness)
    return _outcome(name, [request for request in mine if request.counted])


def _outcome(name: str, counted: list[Request]) -> Outcome:
    ttfts = sorted((request.first_at or math.inf) - request.at for request in counted)
    away = [request for request in counted if request.cloud]
    dollars = sum(request.prompt * PRICE_IN + request.output * PRICE_OUT for request in away) / 1e6
    within = sum(ttft <= TARGET_S for ttft in ttfts) / len(ttfts)
    p99 = ttfts[min(len(ttfts) - 1, int(len(ttfts) * 0.99))]
    return Outcome(name, within, len(away) / len(counted), dollars, p99, len(counted))


def in_flight_below(limit: int) -> Policy:
    return Simple(lambda request, engine: engine.in_flight >= limit)


def policies(limit: int) -> dict[str, Policy]:
    return {
        "local only": Simple(lambda request, engine: False),
        "all cloud": Simple(lambda request, engine: True),
        f"static max(waiting/5, kv/0.8), gauges {GAUGE_S:.0f} s old": Gauges(),
        f"in-flight count, best by hand ({limit})": in_flight_below(limit),
        "knows all lengths, not the future": Simple(knows_lengths),
        "Hearth: ledger, shipped thresholds": Ours(Escalation(ttft_ms=round(TARGET_S * 1000))),
        "Hearth: ledger, predicted TTFT alone": Ours(
            Escalation(ttft_ms=round(TARGET_S * 1000), queue_depth=10_000), kv=False
        ),
    }


def best_limit(asked: list[Request], seed: int) -> int:
    """The in-flight limit with the fewest leaving among those that keep 99.5 % within the target."""
    ranked: list[tuple[bool, float, int]] = []
    for limit in range(2, 2 * SLOTS):
        outcome = simulate("", in_flight_below(limit), asked, seed)
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
    given = parser.parse_args()
    for seed in given.seed:
        asked = requests(given.trace, given.minutes, given.keep, seed)
        outcomes = [simulate(name, policy, asked, seed) for name, policy in policies(best_limit(asked, seed)).items()]
        if given.json:
            print(json.dumps({"seed": seed, "outcomes": [asdict(outcome) for outcome in outcomes]}))
        else:
            print("\n".join(table(seed, outcomes)) + "\n")


def table(seed: int, outcomes: list[Outcome]) -> Iterator[str]:
    """Lines of a table in Markdown."""
    yield f"| seed {seed}, {outcomes[0].count} requests | within {TARGET_S} s | to the cloud | $ | p99 TTFT |"
    yield "| --- | --- | --- | --- | --- |"
    for row in outcomes:
        yield f"| {row.policy} | {row.within:.1%} | {row.cloud:.1%} | {row.dollars:.2f} | {row.p99_s:.2f} s |"


if __name__ == "__main__":
    main()
