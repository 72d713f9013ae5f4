"""What a gateway costs: CPU time per request and per stream, added latency, memory, start time, all in one run.

    python -m scripts.bench.gateway [--quick] [--only hearth,sglang-router] [--rounds 9] [--json]

A stub upstream answers at once; sixteen connections ask (one for the latency; 32 and 128 for paced streams). The
contenders take turns, round after round, because other work on the machine comes and goes: medians over the rounds are
shown. CPU time is user and system time of a contender's whole process tree, divided by whole answers; load and stub are
processes of their own, not counted.

Hearth takes part twice. The two are the same program with the same settings, so that what lies between them is noise:
nothing smaller than their spread is a difference. The dearer of the two is judged.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local_models.installer import progress
from scripts.bench.contenders import CONTENDERS, DIRECT, HEARTH, HEARTH_AGAIN, LITELLM, SGLANG_ROUTER, Place
from scripts.bench.load import Result
from scripts.bench.processes import ROOT, NeverReadyError, Running, free_port
from scripts.bench.stub import MODEL

_PROMPT = "Summarise in two sentences why the sky is blue, for a reader who knows some physics. " * 3


@dataclass(frozen=True, slots=True)
class Phase:
    """One kind of load. `pace_ms` between two chunks of a stream; 0: in a burst."""

    name: str
    title: str
    connections: int
    stream: bool
    pace_ms: int = 0

    def body(self, model: str) -> str:
        said = f"{_PROMPT} pace={self.pace_ms}" if self.pace_ms else _PROMPT
        asked = {"model": model, "messages": [{"role": "user", "content": said}], "max_tokens": 256}
        return json.dumps(asked | ({"stream": True} if self.stream else {}), separators=(",", ":"))


WHOLE = Phase("whole", "CPU ms per request", 16, stream=False)
BURST = Phase("burst", "CPU ms per stream of 64, burst", 16, stream=True)
PACED = Phase("paced", "CPU ms per stream of 64, 5 ms apart, 32 open", 32, stream=True, pace_ms=5)
CROWD = Phase("crowd", "the same, 128 open", 128, stream=True, pace_ms=5)
ALONE = Phase("alone", "p50 ms at 1 connection", 1, stream=False)
PHASES = (WHOLE, BURST, PACED, CROWD, ALONE)


@dataclass(frozen=True, slots=True)
class Gate:
    """The figure of Hearth over that of `other` may be at most `most`, and the spread of the identical pair beside it."""

    phase: Phase
    other: str
    most: float
    spread: bool = False


GATES = (
    Gate(WHOLE, SGLANG_ROUTER, 1.6),
    Gate(BURST, SGLANG_ROUTER, 1.0, spread=True),
    Gate(PACED, SGLANG_ROUTER, 1.5),
    Gate(CROWD, SGLANG_ROUTER, 1.5),
    Gate(WHOLE, LITELLM, 1 / 25),
)


@dataclass(slots=True)
class Score:
    """What one contender did. figures: by phase, one value a round, in the unit of the phase's title."""

    start_s: float = 0.0
    rss_mib: float = 0.0
    failed: int = 0
    figures: dict[str, list[float]] = field(default_factory=dict)

    def add(self, phase: Phase, value: float) -> None:
        self.figures.setdefault(phase.name, []).append(value)

    def median(self, phase: Phase) -> float | None:
        values = self.figures.get(phase.name)
        return statistics.median(values) if values else None


@dataclass(slots=True)
class Entrant:
    """One that takes part. model: the name it answers to. running None: the upstream itself, its own time not counted."""

    name: str
    url: str
    model: str
    running: Running | None = None
    score: Score = field(default_factory=Score)

    def ask(self, phase: Phase, seconds: float) -> Result:
        """One phase of load, from a process of its own."""
        load = (sys.executable, "-m", "scripts.bench.load", "--url", self.url, "--body", phase.body(self.model))
        bounds = ("--connections", str(phase.connections), "--seconds", str(seconds))
        ended = subprocess.run((*load, *bounds), cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=300)
        return Result(**json.loads(ended.stdout))

    def measure(self, phase: Phase, seconds: float) -> None:
        """Adds one figure to the score."""
        before = self.running.cpu_s() if self.running is not None else 0.0
        result = self.ask(phase, seconds)
        self.score.failed += result.failed
        if phase.connections == 1:
            self.score.add(phase, result.p50_ms)
        elif self.running is not None and result.count:
            self.score.add(phase, 1000 * (self.running.cpu_s() - before) / result.count)


def compete(
    names: Sequence[str], rounds: int, seconds: float, folder: Path, line: progress.StepLine
) -> dict[str, Score]:
    """Starts the contenders one after another, lets them take turns, ends them."""
    with contextlib.ExitStack() as stack:
        port = free_port()
        direct = Entrant(DIRECT, f"http://127.0.0.1:{port}", MODEL)
        stub = (sys.executable, "-m", "scripts.bench.stub", "--port", str(port))
        stack.enter_context(Running(stub, folder / "stub.log")).first_answer(f"{direct.url}/v1/models", b"{}")
        entrants = [direct]
        for name in names:
            line.update(f"starting {name}")
            entrants.append(join(name, direct.url, folder, stack))
        for entrant in entrants:
            for phase in PHASES:
                entrant.ask(phase, min(seconds, 0.5))
        for turn in range(rounds):
            take_turns(entrants, turn, seconds, line)
        for entrant in entrants:
            entrant.score.rss_mib = entrant.running.rss_mib() if entrant.running is not None else 0.0
        return {entrant.name: entrant.score for entrant in entrants}


def join(name: str, upstream: str, folder: Path, stack: contextlib.ExitStack) -> Entrant:
    """Starts one, until `stack` ends."""
    place = Place(free_port(), upstream, folder / name.replace(" ", ""))
    place.folder.mkdir()
    start = CONTENDERS[name](place)
    running = stack.enter_context(Running(start.command, place.folder / "log", start.env))
    entrant = Entrant(name, f"http://127.0.0.1:{place.port}", start.model, running)
    body = WHOLE.body(start.model).encode()
    entrant.score.start_s = running.first_answer(f"{entrant.url}/v1/chat/completions", body)
    return entrant


def take_turns(entrants: Sequence[Entrant], turn: int, seconds: float, line: progress.StepLine) -> None:
    """Every one once in every phase; who begins changes from round to round."""
    first = turn % len(entrants)
    for phase in PHASES:
        for entrant in (*entrants[first:], *entrants[:first]):
            line.update(f"round {turn + 1}: {phase.name}, {entrant.name}")
            entrant.measure(phase, seconds)


def table(scores: Mapping[str, Score]) -> Iterable[str]:
    """Markdown, one contender a line."""
    titles = ("gateway", *(phase.title for phase in PHASES), "MiB after", "s to first answer", "failed")
    yield "| " + " | ".join(titles) + " |"
    yield "| --- |" + " ---: |" * (len(titles) - 1)
    for name, score in scores.items():
        figures = [score.median(phase) for phase in PHASES]
        cells = ["-" if figure is None else f"{figure:.3f}" for figure in figures]
        own = [f"{score.rss_mib:.0f}", f"{score.start_s:.1f}"] if score.rss_mib else ["-", "-"]
        yield "| " + " | ".join([name, *cells, *own, str(score.failed)]) + " |"


@dataclass(frozen=True, slots=True)
class Verdict:
    """spread: how far apart the identical pair is in this phase, as a share of the cheaper one."""

    gate: Gate
    ratio: float
    spread: float

    @property
    def most(self) -> float:
        return self.gate.most + (self.spread if self.gate.spread else 0.0)

    @property
    def kept(self) -> bool:
        return self.ratio <= self.most

    def __str__(self) -> str:
        gate = self.gate
        return (
            f"{'kept  ' if self.kept else 'MISSED'}  {gate.phase.title}: {self.ratio:.3f}x {gate.other} "
            f"(at most {self.most:.3g}x; the identical pair is {self.spread:.0%} apart)"
        )


def verdicts(scores: Mapping[str, Score]) -> list[Verdict]:
    """The gates between contenders that ran. The ratio is that of the medians."""
    found = []
    for gate in GATES:
        ours, again, theirs = (
            scores[name].median(gate.phase) if name in scores else None for name in (HEARTH, HEARTH_AGAIN, gate.other)
        )
        if ours is None or not theirs:
            continue
        pair = sorted((ours, again if again is not None else ours))
        found.append(Verdict(gate, pair[1] / theirs, pair[1] / pair[0] - 1))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every gate is kept."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench gateway",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", help=f"of {', '.join(CONTENDERS)}; several with commas")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="of load, for each contender, phase and round")
    parser.add_argument("--quick", action="store_true", help="three rounds of one second")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--json", action="store_true", help="every figure of every round")
    options = parser.parse_args(arguments)
    names = options.only.split(",") if options.only else list(CONTENDERS)
    if unknown := set(names) - set(CONTENDERS):
        parser.error(f"no contender: {', '.join(sorted(unknown))}")
    rounds, seconds = (3, 1.0) if options.quick else (options.rounds, options.seconds)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        shown = stack.enter_context(Path("/dev/null").open("w")) if options.quiet else sys.stderr
        line = progress.StepLine("Gateway cost", shown)
        try:
            scores = compete(names, rounds, seconds, Path(folder), line)
        except NeverReadyError as error:
            print(error, file=sys.stderr)
            return 2
        line.end("done")
    return report(scores, as_json=options.json)


def report(scores: Mapping[str, Score], *, as_json: bool) -> int:
    judged = verdicts(scores)
    if as_json:
        rows = {
            name: {
                "start_s": score.start_s,
                "rss_mib": score.rss_mib,
                "failed": score.failed,
                "rounds": score.figures,
                "median": {phase.name: score.median(phase) for phase in PHASES},
            }
            for name, score in scores.items()
        }
        gates = [
            {
                "phase": each.gate.phase.name,
                "against": each.gate.other,
                "most": each.most,
                "spread": each.spread,
                "ratio": each.ratio,
                "kept": each.kept,
            }
            for each in judged
        ]
        print(json.dumps({"contenders": rows, "gates": gates}, indent=1))
    else:
        print("\n".join([*table(scores), "", *map(str, judged)]))
    return 0 if all(each.kept for each in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
