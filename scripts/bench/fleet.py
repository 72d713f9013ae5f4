"""Three Hearths before six stand-ins for an engine: late answers, what leaves for the cloud, and what a fleet costs.

    python -m scripts.bench fleet [--minutes 28 30] [--slowed 4] [--store valkey://…] [--rounds 15] [--json]

The trace, the engine and the cloud are those of `spill_http`; six samples of the trace are laid over each other, and each
request goes to a Hearth at random. Three ways: one Hearth with all six engines; three Hearths that have all six attached and
tell each other what they have in flight, over a Valkey that is started for it unless one is named; three that own two each and
ask each other (`[fleet] peers`). Then the CPU time of a request and the round trips to the store, one
Hearth with `[fleet]` against one without, over a stub, alternating. Exit code 1 where a gate is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local_models.installer.progress import StepLine
from scripts.bench import spill
from scripts.bench.load import arguments as load_arguments
from scripts.bench.load import run as load
from scripts.bench.processes import ROOT, Running, free_port
from scripts.bench.rounds import bench_progress
from scripts.bench.spill_engine import Request
from scripts.bench.spill_http import Played, over_http
from scripts.bench.upstream import QUESTION
from scripts.bench.valkey import store

HEARTHS, ENGINES = 3, 6
MOST_LATE, LEAST_WITHIN, MOST_MORE_CLOUD = 0.003, 0.995, 0.010  # all engines attached to each
OWNED_WITHIN, OWNED_MORE_CLOUD = 0.998, 0.015
MOST_CPU, MOST_CALLS = 1.15, 0.05  # times the CPU of a request; round trips to the store of one
_START_S = 60.0
_KEY = "between-the-hearths"


@dataclass(frozen=True, slots=True)
class FleetResult:
    """one, attached, owned: the trace three ways. cpu: median of the rounds; calls: to the store, None without one.

    Without a store, where there is none to start, three Hearths with the same engines know nothing of each other: their gates
    hold with one alone.
    """

    one: Played
    attached: Played
    owned: Played
    cpu: float
    calls: float | None

    def missed(self) -> list[str]:
        """The gates that were not kept."""
        alone = self.calls is None
        more = [each.cloud - self.one.cloud for each in (self.attached, self.owned)]
        gates = {
            "attached: late": alone or self.attached.late <= MOST_LATE,
            "attached: within": alone or self.attached.within >= LEAST_WITHIN,
            "attached: cloud": alone or more[0] <= MOST_MORE_CLOUD,
            "owned: within": self.owned.within >= OWNED_WITHIN,
            "owned: cloud": more[1] <= OWNED_MORE_CLOUD,
            "failed": not (self.one.failed or self.attached.failed or self.owned.failed),
            "CPU": self.cpu <= MOST_CPU,
            "calls": self.calls is None or self.calls <= MOST_CALLS,
        }
        return [name for name, kept in gates.items() if not kept]


def superposed(trace: Path, minutes: Sequence[float], keep: float, seed: int) -> list[Request]:
    """A sample of the trace for each engine, in order of time."""
    found = []
    for place in range(ENGINES):
        for each in spill.requests(trace, minutes, keep, seed + place):
            each.id = f"{place}-{each.id}"
            found.append(each)
    return sorted(found, key=lambda each: each.at)


def over(asked: Sequence[Request], given: argparse.Namespace, **way: Any) -> Played:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(over_http(asked, given.seed, given.slowed, Path(folder), **way))


@contextlib.contextmanager
def hearth(folder: Path, name: str, port: int, stub: int, fleet: str = "") -> Iterator[Running]:
    """One that answers, attached to the stub. fleet: the table of its file."""
    file = folder / f"{name}.toml"
    file.write_text(f'[engine]\nmodel = "stub"\nurl = "http://127.0.0.1:{stub}/v1"\n{fleet}')
    env = {"HEARTH_STATE_DIR": str(folder / name), "HEARTH_SERVER__PORT": str(port), "BETWEEN_US": _KEY}
    serve = (sys.executable, "-m", "runtime.cli", "serve", "--config", str(file))
    with Running(serve, folder / f"{name}.log", env) as running:
        running.first_answer(f"http://127.0.0.1:{port}/v1/chat/completions", QUESTION, _START_S)
        yield running


def store_calls(port: int) -> int:
    """Round trips to the store that a Hearth made so far."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/hearth/fleet", headers={"authorization": f"Bearer {_KEY}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: Mapping[str, Any] = json.load(answer)
    return int((found.get("store") or {}).get("calls", 0))


def costs(rounds: int, requests: int, store: str) -> tuple[float, float | None]:
    """The median ratio of CPU time a request, with `[fleet]` to without, and the most round trips to the store of a request.

    The fleet's peer is the other Hearth, so that both are asked for their summaries.
    """
    stub, plain, shared = free_port(), free_port(), free_port()
    ratios, calls = [], []
    table = (
        f'[fleet]\nname = "shared"\npeers = ["http://127.0.0.1:{plain}"]\nkey = "env:BETWEEN_US"\nstore = "{store}"\n'
    )
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = Path(name)
        command = (sys.executable, "-m", "scripts.bench.stub", "--port", str(stub))
        running.enter_context(Running(command, folder / "stub.log"))
        ports = {plain: running.enter_context(hearth(folder, "plain", plain, stub))}
        ports[shared] = running.enter_context(hearth(folder, "shared", shared, stub, table))
        body = '{"model":"local","stream":true,"messages":[{"role":"user","content":"Are you there?"}]}'
        for number in range(rounds):
            spent: dict[int, float] = {}
            before = store_calls(shared)
            for port in (plain, shared) if number % 2 else (shared, plain):
                options = load_arguments(
                    [
                        "--url",
                        f"http://127.0.0.1:{port}",
                        "--requests",
                        str(requests),
                        "--connections",
                        "8",
                        "--body",
                        body,
                    ]
                )
                began = ports[port].cpu_s()
                done = asyncio.run(load(options))
                spent[port] = (ports[port].cpu_s() - began) / max(1, done.count)
            ratios.append(spent[shared] / spent[plain])
            calls.append((store_calls(shared) - before) / requests)
    return statistics.median(ratios), max(calls) if store else None


def measured(given: argparse.Namespace, line: StepLine) -> FleetResult:
    asked = superposed(given.trace, given.minutes, given.keep, given.seed)
    line.update(f"{len(asked)} requests in {asked[-1].at * given.slowed:.0f} s, by one Hearth")
    one = over(asked, given, engines=ENGINES)
    line.update("by three, all engines attached to each")
    each = ENGINES // HEARTHS
    attached = over(asked, given, hearths=HEARTHS, engines=each, attached=True, store=given.store)
    line.update("by three that own two each")
    owned = over(asked, given, hearths=HEARTHS, engines=each, store=given.store)
    line.update("CPU")
    return FleetResult(one, attached, owned, *costs(given.rounds, given.requests, given.store))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench fleet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shared = Path(os.environ.get("HEARTH_SHARED", ROOT.parent / "shared"))
    parser.add_argument("--trace", type=Path, default=shared / "traces" / "azure_llm_2023_conv.csv")
    parser.add_argument("--minutes", type=float, nargs=2, default=(28, 30))
    parser.add_argument("--keep", type=float, default=0.33)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slowed", type=float, default=4.0)
    parser.add_argument(
        "--rounds",
        type=int,
        default=15,
        help="of the CPU time, whose median counts: on a shared machine one says nothing",
    )
    parser.add_argument("--requests", type=int, default=500, help="of each side of a round")
    parser.add_argument("--store", default="", help="of the fleet; without one a valkey-server is started")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    given = parser.parse_args(arguments)
    if not given.trace.is_file():
        print(f"the trace is not at {given.trace}: nothing was measured", file=sys.stderr)
        return 0
    with bench_progress("Fleet", quiet=given.quiet) as (_, line), store(given.store) as given.store:
        result = measured(given, line)
    missed = result.missed()
    if given.json:
        print(json.dumps({**asdict(result), "missed": missed}))
    else:
        print(f"{result.one.count} requests counted, load of the machine {os.getloadavg()[0]:.1f}")
        for name, each in (
            ("one Hearth", result.one),
            ("three, attached", result.attached),
            ("three, owned", result.owned),
        ):
            print(
                f"{name}: {each.within:.1%} in time, {each.late:.2%} late here, {each.cloud:.1%} left, {each.failed} failed"
            )
        calls = "" if result.calls is None else f", {result.calls:.3f} round trips to the store a request"
        print(f"CPU of a request with [fleet]: {result.cpu:.2f} times that without{calls}")
        print(f"MISSED: {', '.join(missed)}" if missed else "kept")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
