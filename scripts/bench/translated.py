"""What translating costs: CPU time per stream of three cloud targets over one stub, one of them passed through.

    python -m scripts.bench translated [--rounds 5] [--seconds 2] [--json]

All three go the same way out (httpx), so that what differs is the reading of one wire and the writing of another. Rounds take
turns; medians.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from local_models.installer import progress
from scripts.bench.load import Result
from scripts.bench.processes import ROOT, Running
from scripts.bench.upstream import stubbed_hearth

MOST = 2.5  # times the CPU of a stream that passes through
PASSED = "passed"
_TARGETS = {PASSED: ("openai", "/v1"), "messages": ("anthropic", ""), "generate": ("gemini", "")}


def settings() -> dict[str, str]:
    """Three targets on the stub, as environment."""
    env: dict[str, str] = {}
    for name, (provider, path) in _TARGETS.items():
        section = f"HEARTH_TARGETS__{name.upper()}__"
        env |= {f"{section}PROVIDER": provider, f"{section}MODEL": "stub", f"{section}BASE_URL": "{upstream}" + path}
    return env


def ask(running: Running, url: str, target: str, seconds: float) -> tuple[float, Result]:
    """CPU milliseconds per stream, and what the load saw."""
    question = {"model": target, "stream": True, "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
    body = json.dumps(question, separators=(",", ":"))
    load = (sys.executable, "-m", "scripts.bench.load", "--url", url, "--body", body, "--seconds", str(seconds))
    before = running.cpu_s()
    ended = subprocess.run(load, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    result = Result(**json.loads(ended.stdout))
    return (running.cpu_s() - before) * 1000 / max(1, result.count), result


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when translating costs at most `MOST` times what passing through costs, and no request failed."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench translated",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    times: dict[str, list[float]] = {name: [] for name in _TARGETS}
    failed = 0
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running, url = stack.enter_context(stubbed_hearth(folder, settings()))
        line = progress.StepLine("Translated", sys.stderr)
        for number in range(options.rounds):
            for name in _TARGETS:
                cost, result = ask(running, url, name, options.seconds)
                times[name].append(cost)
                failed += result.failed
                line.update(f"round {number + 1} of {options.rounds}, {name}: {cost:.2f} ms per stream")
        line.end("done")
    medians = {name: statistics.median(each) for name, each in times.items()}
    ratios = {name: median / medians[PASSED] for name, median in medians.items()}
    kept = max(ratios.values()) <= MOST and not failed
    if options.json:
        print(json.dumps({"ms_per_stream": medians, "ratio": ratios, "failed": failed, "kept": kept}))
    else:
        for name, median in medians.items():
            print(f"{name:10} {median:6.2f} ms CPU per stream of 64, {ratios[name]:.2f}x")
        print(f"{'kept' if kept else 'MISSED'}: at most {MOST}x, {failed} failed")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
