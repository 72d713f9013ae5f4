"""Whether memory stays flat: Hearth's resident memory over many requests, whole answers and streams in turn.

    python -m scripts.bench soak [--requests 100000] [--json]

The first quarter warms up (pools, caches, the decision file's pages); over the rest a straight line is laid through the
samples, and its rise is what is judged.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence

from local_models.installer import progress
from scripts.bench.load import Result
from scripts.bench.processes import ROOT, Running
from scripts.bench.rounds import bench_progress
from scripts.bench.upstream import stubbed_hearth

MOST_RISE_MIB = 8.0  # per 100,000 requests: below what one connection more or less moves
_SAMPLES = 40
_BODIES = (
    '{"model":"auto","messages":[{"role":"user","content":"Why is the sky blue?"}]}',
    '{"model":"auto","stream":true,"messages":[{"role":"user","content":"Why is the sky blue?"}]}',
)


def ask(url: str, body: str, requests: int) -> Result:
    load = (sys.executable, "-m", "scripts.bench.load", "--url", url, "--body", body, "--requests", str(requests))
    ended = subprocess.run(load, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return Result(**json.loads(ended.stdout))


def soak(running: Running, url: str, requests: int, line: progress.StepLine) -> tuple[list[float], list[float], int]:
    """Requests so far and MiB at each sample, and how many requests failed."""
    done, memory, failed = [0.0], [running.rss_mib()], 0
    for sample in range(_SAMPLES):
        result = ask(url, _BODIES[sample % len(_BODIES)], requests // _SAMPLES)
        failed += result.failed
        done.append(done[-1] + result.count + result.failed)
        memory.append(running.rss_mib())
        line.update(f"{done[-1]:.0f} requests, {memory[-1]:.1f} MiB")
    return done, memory, failed


def rise(done: Sequence[float], memory: Sequence[float]) -> float:
    """MiB per 100,000 requests, by a straight line through all samples but those of the first quarter."""
    settled = len(done) // 4
    return statistics.linear_regression(done[settled:], memory[settled:]).slope * 100_000


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when memory is flat and no request failed."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(arguments)
    with bench_progress("Soak", quiet=options.quiet) as (folder, line), stubbed_hearth(folder) as (running, url):
        done, memory, failed = soak(running, url, options.requests, line)
    slope = rise(done, memory)
    kept = slope <= MOST_RISE_MIB and not failed
    if options.json:
        figures = {"requests": done, "mib": memory, "failed": failed, "mib_per_100000": slope, "kept": kept}
        print(json.dumps(figures))
    else:
        print(
            f"{'kept  ' if kept else 'MISSED'}  {done[-1]:.0f} requests, {failed} failed: {memory[0]:.0f} MiB at first, "
            f"{memory[-1]:.0f} at the end, {slope:+.2f} MiB per 100,000 once warm (at most {MOST_RISE_MIB:.0f})"
        )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
