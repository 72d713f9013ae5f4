"""The spill-over simulation of several Hearths: each before engines of its own, or all before the same ones.

    python -m scripts.bench.spill_fleet [--hearths 3] [--engines 3 6] [--minutes 26 34] [--seed 1 2] [--json]

Every request arrives at a Hearth by chance. The trace is superposed once for each engine. Each Hearth has the runtime's own
decision, ledger and choice of peers, as they ship; of the others it hears a summary every so many seconds.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from runtime.contract.backend import Backend
from runtime.contract.targets import LOCAL, Target
from runtime.fleet.peers import Peers, PeerSummary
from runtime.routing.facts.facts import Facts
from runtime.settings import Escalation
from scripts.bench import spill
from scripts.bench.processes import ROOT
from scripts.bench.spill_box import Hearth, _Backend
from scripts.bench.spill_engine import Engine, Request
from scripts.bench.spill_events import Published

STORE_GONE_S = 60.0


Way = Callable[[Sequence[Engine]], "HearthFleet"]


class Member(Hearth):
    """One Hearth of a fleet. places: of its engines among all. summary_s: between two summaries of it that others hear."""

    def __init__(
        self, name: str, escalation: Escalation, engines: Sequence[Engine], places: Sequence[int], chance: random.Random
    ) -> None:
        own = [engines[each] for each in places]
        super().__init__(escalation, own, (spill.PRICE_IN, spill.PRICE_OUT), chance=chance)
        self.name, self.places = name, places
        self.peers = Peers(self.summary, _peer, lambda: self.now)

    def summary(self) -> PeerSummary:
        """As it tells the others."""
        load = self.fleet.load()
        assert load is not None
        reading, over = load.reading, str(load.pressure.over or "")
        wait_ms = reading.predicted_ttft_s * 1000
        return PeerSummary(self.name, "m", True, reading.waiting, reading.running, wait_ms, over)


def _peer(address: str) -> Backend:
    return cast("Backend", _Backend(Target(address, LOCAL, "m", peer=True), ()))


class HearthFleet:
    """A policy of several Hearths. owned: the engines are dealt out among them; else each sees all of them.

    summary_s: age of what they hear of each other; infinite: they do not hear each other. moved: requests that went to a peer.
    away: from when until when the store is, over which they publish what they have in flight; None: there is no store.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        hearths: int,
        seed: int,
        *,
        owned: bool,
        summary_s: float,
        away: tuple[float, float] | None = None,
    ) -> None:
        settings = Escalation(ttft_ms=round(spill.TARGET_S * 1000), complexity=1.0)
        every, self._engines = range(len(engines)), len(engines)
        self.members = [
            Member(f"h{n}", settings, engines, every[n::hearths] if owned else every, random.Random(1000 * seed + n))
            for n in range(hearths)
        ]
        self._published = Published(self.members, len(engines), seed, away) if away is not None else None
        self._place: dict[str, int] = {}
        self.moved = self.hops = 0
        self._chance, self._summary_s, self._due = random.Random(seed), summary_s, 0.0
        self._owner: dict[str, Member] = {}
        self._first = self.members[0]
        for each in self.members:
            each.peers.know(tuple(other.name for other in self.members if other is not each) if owned else ())

    # -- a witness, for the Hearth that has the request

    def first_token(self, id: str, now: float) -> None:
        self._hear_of(id, now)
        self._owner[id].first_token(id, now)

    def tokens(self, id: str, n: int, now: float) -> None:
        self._hear_of(id, now)
        self._owner[id].tokens(id, n, now)

    def finish(self, id: str, now: float) -> None:
        self._hear_of(id, now)
        self._owner.pop(id).finish(id, now)
        self._place.pop(id)

    def _hear_of(self, id: str, now: float) -> None:
        """The events of its engine until now. Its own change is one of them."""
        if self._published is not None:
            place = self._place[id]
            self._published.hear(place, now)
            self._published.changed(self.members.index(self._owner[id]), place, now)

    def answered(self, ttft_s: float) -> None:
        self._first.answered(ttft_s)

    def next_look(self) -> float:
        return min(each.next_look() for each in self.members)

    def look(self, now: float) -> Request | None:
        self._first = min(self.members, key=Hearth.next_look)
        self._hear_all(now)
        gone = self._first.look(now)
        if gone is not None and self._published is not None:
            self._published.changed(self.members.index(self._first), self._place[gone.id], now)
        return gone

    def choose(self, request: Request, engines: Sequence[Engine]) -> int | None:
        """The engine that takes the request; None: it leaves."""
        self._hear(request.at)
        self._hear_all(request.at)
        self._first = hearth = self._chance.choice(self.members)
        plan, predicted_s = hearth.decided(request)
        made = hearth.peers.beside(plan, Facts("openai_chat", "auto", request.prompt, stream=True), "")
        for each in made.candidates:
            if each.target.peer:
                self.hops += 1
                other = next(member for member in self.members if member.name == each.target.name)
                if (place := other.offered(request)) is None:
                    continue
                self.moved += 1
                return self._sent(request, other, place)
            if each.target.local:
                return self._sent(request, hearth, hearth.taken(request, predicted_s, made.move))
            break
        hearth.left(request, plan)
        return None

    def _sent(self, request: Request, owner: Member, lane: int) -> int:
        """The engine of a request that a Hearth has taken."""
        place = owner.places[lane]
        self._owner[request.id], self._place[request.id] = owner, place
        if self._published is not None:
            self._published.changed(self.members.index(owner), place, request.at)
        return place

    def settle(self) -> None:
        """Delivers what was not heard yet."""
        self._hear_all(math.inf)

    def _hear_all(self, now: float) -> None:
        if self._published is not None:
            for place in range(self._engines):
                self._published.hear(place, now)

    def _hear(self, now: float) -> None:
        if now < self._due or math.isinf(self._summary_s):
            return
        self._due = now + self._summary_s
        for each in self.members:
            each.now = now
        summaries = {each.name: each.summary() for each in self.members}
        for each in self.members:
            for name in each.peers.addresses:
                each.peers.heard(name, summaries[name])


def asked_of(trace: Path, minutes: Sequence[float], keep: float, seed: int, engines: int) -> list[Request]:
    """The trace, thinned anew for each engine."""
    found = [
        replace(each, id=f"{n}-{each.id}")
        for n in range(engines)
        for each in spill.requests(trace, minutes, keep, 100 * seed + n)
    ]
    return sorted(found, key=lambda each: each.at)


@dataclass(frozen=True, slots=True)
class Row:
    """late: share of the requests on the engines that were not in time. moved: share that a peer took."""

    engines: int
    outcome: spill.Outcome
    moved: float


def compared(
    asked: Sequence[Request], seed: int, hearths: int, engines: int, *, owned: bool = True, attached: bool = True
) -> Iterator[Row]:
    """One brain, and several Hearths in each way: with engines of their own, and with the same ones attached to all."""
    scene = spill.Scene(replicas=engines)
    ways: dict[str, Way] = {}

    def fleet(*, owned: bool, summary_s: float, away: tuple[float, float] | None = None) -> Way:
        return lambda made: HearthFleet(made, hearths, seed, owned=owned, summary_s=summary_s, away=away)

    for seconds in (0.1, 1.0, 3.0):
        ways[f"owner decides, summaries {seconds:g} s"] = fleet(owned=True, summary_s=seconds)
    ways["own engines, nobody asked"] = fleet(owned=True, summary_s=math.inf)
    if not owned:
        ways.clear()
    if attached:
        ways |= _attached(asked, fleet)
    yield Row(engines, spill.simulate("one brain", spill.hearth(scene), asked, seed, scene), 0.0)
    for name, way in ways.items():
        policy: list[HearthFleet] = []

        def kept(
            made: Sequence[Engine],
            way: Way = way,
            policy: list[HearthFleet] = policy,
        ) -> HearthFleet:
            policy.append(way(made))
            return policy[0]

        outcome = spill.simulate(name, kept, asked, seed, scene)
        yield Row(engines, outcome, policy[0].moved / max(1, len(asked)))


def _attached(
    asked: Sequence[Request], fleet: Callable[..., Callable[[Sequence[Engine]], HearthFleet]]
) -> dict[str, Way]:
    """The ways of Hearths with the same engines. The store is gone from the end of the warm-up on, or for a minute."""
    half = asked[-1].at / 2
    gone = (half - STORE_GONE_S / 2, half + STORE_GONE_S / 2)
    return {
        "all engines, own ledgers, gauges 3 s": fleet(owned=False, summary_s=math.inf),
        "all engines, own ledger x N": fleet(owned=False, summary_s=math.inf, away=(spill.WARM_UP_S, math.inf)),
        "all engines, events 50 ms": fleet(owned=False, summary_s=math.inf, away=(math.inf, math.inf)),
        "all engines, events, store gone 60 s": fleet(owned=False, summary_s=math.inf, away=gone),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench.spill_fleet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shared = Path(os.environ.get("HEARTH_SHARED", ROOT.parent / "shared"))
    parser.add_argument("--trace", type=Path, default=shared / "traces" / "azure_llm_2023_conv.csv")
    parser.add_argument("--minutes", type=float, nargs=2, default=(26, 34))
    parser.add_argument("--keep", type=float, default=0.33)
    parser.add_argument("--seed", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--hearths", type=int, default=3)
    parser.add_argument("--engines", type=int, nargs="+", default=[3, 6])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    for engines in given.engines:
        for seed in given.seed:
            asked = asked_of(given.trace, given.minutes, given.keep, seed, engines)
            rows = compared(asked, seed, given.hearths, engines)
            if given.json:
                print(json.dumps({"seed": seed, "hearths": given.hearths, "rows": [asdict(row) for row in rows]}))
                continue
            columns = "within | late here | to the cloud | to a peer | p99 TTFT"
            print(f"| {given.hearths} Hearths, {engines} engines, seed {seed} | {columns} |")
            print("| --- | ---: | ---: | ---: | ---: | ---: |")
            for row in rows:
                found = row.outcome
                shares = f"{found.within:.2%} | {found.late:.2%} | {found.cloud:.1%} | {row.moved:.1%}"
                print(f"| {found.policy} | {shares} | {found.p99_s:.2f} s |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
