"""What Hearth adds in front of a real vLLM: time to the first token, and tokens per second lost.

    python -m scripts.bench engine [--rounds 5] [--json]

Hearth starts and owns the engine (the built-in model, the environment of `make engine`). The same load then goes
through Hearth and straight into the engine's own Unix socket, in turns: request by request for the added time, because an
engine on a CPU drifts by more than what is looked for within seconds; round by round, over many connections, for the
tokens, with answers of a fixed length.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from local_models.host.sockets import socket_folder
from local_models.installer import progress
from scripts.bench import load
from scripts.bench.load import Result, p99
from scripts.bench.processes import ROOT, Running, free_port

MOST_ADDED_MS = 1.0
_PAIRS = 40  # a round: one request straight, one through Hearth
_MODEL = "smollm2-135m"
_SLOTS = "8"  # sequences the engine runs at a time; the load keeps as many connections
_START_S = 300.0
_QUESTION = b'{"model":"local","max_tokens":1,"messages":[{"role":"user","content":"Hello"}]}'


@dataclass(slots=True)
class Side:
    """One way to the engine. where: the load's arguments for it; model: its name there."""

    where: tuple[str, ...]
    model: str
    ttft_ms: list[float] = field(default_factory=list)  # of every request
    tokens_per_s: list[float] = field(default_factory=list)
    failed: int = 0

    def _load(self, tokens: int, *bounds: str) -> tuple[str, ...]:
        asked = {
            "model": self.model,
            "stream": True,
            "messages": [{"role": "user", "content": "Tell me a long story about a lighthouse."}],
            "max_tokens": tokens,
            "min_tokens": tokens,
            "temperature": 0,
        }
        body = json.dumps(asked, separators=(",", ":"))
        return (*self.where, "--body", body, *bounds)

    def ask(self, tokens: int, *bounds: str) -> Result:
        """A load from a process of its own."""
        command = (sys.executable, "-m", "scripts.bench.load", *self._load(tokens, *bounds))
        result = Result(**json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout))
        self.failed += result.failed
        return result

    def ask_once(self) -> None:
        """A single request, from this process, which has nothing else to do."""
        result = uvloop.run(load.run(load.arguments(self._load(2, "--connections", "1", "--requests", "1"))))
        self.failed += result.failed
        self.ttft_ms.append(result.ttft_p50_ms)

    def throughput(self, seconds: float) -> None:
        result = self.ask(64, "--connections", _SLOTS, "--seconds", str(seconds))
        self.tokens_per_s.append(result.tokens / result.seconds)


@dataclass(frozen=True, slots=True)
class Added:
    """Medians over the rounds. Milliseconds and tokens per second; lost: share of the direct throughput."""

    direct_ttft_p50: float
    direct_ttft_p99: float
    direct_tokens_per_s: float
    added_ttft_p50: float
    added_ttft_p99: float
    lost: float
    failed: int

    @property
    def kept(self) -> bool:
        return self.added_ttft_p50 < MOST_ADDED_MS and not self.failed


def compare(direct: Side, through: Side) -> Added:
    """Request against request and round against round, because other work on the machine comes and goes."""
    added = statistics.median(a - b for a, b in zip(through.ttft_ms, direct.ttft_ms, strict=True))
    kept = statistics.median(a / b for a, b in zip(through.tokens_per_s, direct.tokens_per_s, strict=True))
    return Added(
        statistics.median(direct.ttft_ms),
        p99(direct.ttft_ms),
        statistics.median(direct.tokens_per_s),
        added,
        p99(through.ttft_ms) - p99(direct.ttft_ms),
        1.0 - kept,
        direct.failed + through.failed,
    )


def measure(folder: Path, rounds: int, seconds: float, line: progress.StepLine) -> Added:
    port, settings, state = free_port(), folder / "hearth.toml", folder / "state"
    settings.write_text(f'[engine]\nmodel = "{_MODEL}"\nargs = ["--max-num-seqs", "{_SLOTS}"]\n')
    env = {"HEARTH_STATE_DIR": str(state), "HEARTH_SERVER__PORT": str(port)}
    serve = (sys.executable, "-m", "runtime.cli", "serve", "--config", str(settings))
    with Running(serve, folder / "hearth.log", env) as hearth:
        line.update("starting vLLM")
        url = f"http://127.0.0.1:{port}"
        hearth.first_answer(f"{url}/v1/chat/completions", _QUESTION, _START_S)
        (socket,) = socket_folder(state).glob("*.sock")
        direct = Side(("--socket", str(socket)), _served_model(url))
        through = Side(("--url", url), "auto")
        for side in (direct, through):
            side.ask(64, "--connections", _SLOTS, "--requests", _SLOTS)
        for turn in range(rounds):
            line.update(f"round {turn + 1} of {rounds}")
            for pair in range(_PAIRS):
                for side in _order(pair, direct, through):
                    side.ask_once()
            for side in _order(turn, direct, through):
                side.throughput(seconds)
        return compare(direct, through)


def _order(turn: int, one: Side, other: Side) -> tuple[Side, Side]:
    """Who begins changes from turn to turn."""
    return (one, other) if turn % 2 else (other, one)


def _served_model(url: str) -> str:
    """The engine's own name for its model, as Hearth hands it on in an answer."""
    call = urllib.request.Request(f"{url}/v1/chat/completions", _QUESTION, {"content-type": "application/json"})
    with urllib.request.urlopen(call, timeout=60) as answer:
        return str(json.load(answer)["model"])


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when the added time is within its bound."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench engine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of load for each throughput figure")
    parser.add_argument("--quick", action="store_true", help="three rounds of five seconds")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(arguments)
    rounds, seconds = (3, 5.0) if options.quick else (options.rounds, options.seconds)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shown = stack.enter_context(Path("/dev/null").open("w")) if options.quiet else sys.stderr
        line = progress.StepLine("In front of vLLM", shown)
        found = measure(folder, rounds, seconds, line)
        line.end("done")
    if options.json:
        values = {name: getattr(found, name) for name in Added.__dataclass_fields__}
        print(json.dumps({**values, "most_added_ms": MOST_ADDED_MS, "kept": found.kept}))
    else:
        print(
            f"vLLM alone: first token after {found.direct_ttft_p50:.1f} ms (p99 {found.direct_ttft_p99:.1f}), "
            f"{found.direct_tokens_per_s:.0f} tokens/s at {_SLOTS} streams\n"
            f"{'kept  ' if found.kept else 'MISSED'}  Hearth in front: {found.added_ttft_p50:+.2f} ms "
            f"(p99 {found.added_ttft_p99:+.2f}; median under {MOST_ADDED_MS:g} ms), {found.lost:+.1%} tokens/s lost, "
            f"{found.failed} failed"
        )
    return 0 if found.kept else 1


if __name__ == "__main__":
    sys.exit(main())
