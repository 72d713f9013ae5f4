"""What open dashboards cost the requests beside them, and whether Hearth's memory stays flat with them.

    python -m scripts.bench viewers [--rounds 5] [--seconds 10] [--minutes 0] [--json]

Ten viewers read the live events while requests come at a fixed rate, in turn with rounds without viewers: medians over
the rounds are compared, CPU time of Hearth per request and the 99th percentile of the answers. An eleventh viewer reads
nothing and must be gone after half a minute. `--minutes` goes on with all of them and lays a line through the memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from local_models.installer import progress
from scripts.bench.load import Result
from scripts.bench.processes import ROOT, Running
from scripts.bench.rounds import bench_progress
from scripts.bench.upstream import stubbed_hearth

VIEWERS = 10
RATE = 200.0
MOST_CPU = 1.10  # with viewers over without
MOST_P99 = 2.0
MOST_RISE_MIB = 0.5  # a minute, once warm
_BODY = '{"model":"auto","messages":[{"role":"user","content":"Why is the sky blue?"}]}'
_UNREAD_S = 45.0  # the viewer that reads nothing is closed after 30 s of a full buffer
_SAMPLE_S = 10.0


@dataclass(slots=True)
class Side:
    """The rounds with or without viewers. cpu: milliseconds of Hearth per request. p99: milliseconds."""

    cpu: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


def ask(url: str, seconds: float) -> Result:
    """The load of one round."""
    load = (sys.executable, "-m", "scripts.bench.load", "--url", url, "--body", _BODY, "--rate", str(RATE))
    ended = subprocess.run((*load, "--seconds", str(seconds)), cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return Result(**json.loads(ended.stdout))


def opened(url: str) -> socket.socket:
    """A connection that has asked for the live events."""
    place = urlsplit(url)
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    link.connect((place.hostname, place.port))
    link.sendall(f"GET /hearth/events HTTP/1.1\r\nhost: {place.netloc}\r\n\r\n".encode())
    return link


@contextlib.contextmanager
def watched(url: str, count: int) -> Iterator[None]:
    """So many viewers that read, each in a thread, while the context lasts."""
    links = [opened(url) for _ in range(count)]
    threads = [threading.Thread(target=_read, args=(link,), daemon=True) for link in links]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        for link in links:
            link.shutdown(socket.SHUT_RDWR)
        for each in threads:
            each.join(10)
        for link in links:
            link.close()


def _read(link: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while link.recv(65536):
            pass


def viewers_of(url: str) -> int:
    """The viewers that Hearth counts."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        found = [line for line in answer.read().decode().splitlines() if line.startswith("hearth_dashboard_viewers")]
    return int(float(found[0].split()[-1]))


def compared(
    running: Running, url: str, rounds: int, seconds: float, line: progress.StepLine
) -> tuple[Side, Side, int]:
    """Without, with, and how many requests failed."""
    without, beside, failed = Side(), Side(), 0
    ask(url, 2.0)
    for turn in range(2 * rounds):
        # The order changes from pair to pair, so that a machine that gets busier meets both alike.
        viewed = turn % 4 in (1, 2)
        line.update(f"round {turn // 2 + 1} of {rounds}, {VIEWERS if viewed else 0} viewers")
        with watched(url, VIEWERS) if viewed else contextlib.nullcontext():
            before = running.cpu_s()
            result = ask(url, seconds)
            side = beside if viewed else without
            side.cpu.append(1000 * (running.cpu_s() - before) / max(1, result.count))
            side.p99.append(result.p99_ms)
            failed += result.failed
    return without, beside, failed


def unread(url: str) -> bool:
    """True if a viewer that reads nothing is closed while requests go on."""
    link = opened(url)
    try:
        ask(url, 1.0)
        seen = viewers_of(url)
        ended = time.monotonic() + 4 * _UNREAD_S
        while time.monotonic() < ended and viewers_of(url):
            ask(url, 5.0)
        return seen == 1 and viewers_of(url) == 0
    finally:
        link.close()


def rise(running: Running, url: str, minutes: float, line: progress.StepLine) -> tuple[list[float], float]:
    """MiB at each sample with all viewers, and MiB a minute by a straight line through all but the first quarter."""
    memory: list[float] = []
    with watched(url, VIEWERS):
        for sample in range(round(60 * minutes / _SAMPLE_S)):
            ask(url, _SAMPLE_S)
            memory.append(running.rss_mib())
            line.update(f"minute {(sample + 1) * _SAMPLE_S / 60:.1f}, {memory[-1]:.1f} MiB")
    settled = memory[len(memory) // 4 :]
    return memory, statistics.linear_regression(range(len(settled)), settled).slope * 60 / _SAMPLE_S


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every bar was kept and no request failed."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench viewers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each round")
    parser.add_argument("--minutes", type=float, default=0.0, help="of memory under viewers and load; 0: not measured")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(arguments)
    with bench_progress("Viewers", quiet=options.quiet) as (folder, line), stubbed_hearth(folder) as (running, url):
        without, beside, failed = compared(running, url, options.rounds, options.seconds, line)
        line.update("a viewer that reads nothing")
        closed = unread(url)
        memory, slope = rise(running, url, options.minutes, line) if options.minutes else ([], 0.0)
    cpu, cpu_beside = statistics.median(without.cpu), statistics.median(beside.cpu)
    p99, p99_beside = statistics.median(without.p99), statistics.median(beside.p99)
    bars = [
        (cpu_beside <= MOST_CPU * cpu, f"CPU per request {cpu:.3f} ms, with {VIEWERS} viewers {cpu_beside:.3f} ms: "
         f"{cpu_beside / cpu:.3f}x (at most {MOST_CPU:.2f}x)"),
        (p99_beside <= MOST_P99 * p99, f"p99 {p99:.1f} ms, with {VIEWERS} viewers {p99_beside:.1f} ms: "
         f"{p99_beside / p99:.2f}x (at most {MOST_P99:.0f}x)"),
        (closed, "a viewer that reads nothing is closed"),
        (not failed, f"{failed} requests failed"),
    ]  # fmt: skip
    if memory:
        words = f"memory {memory[0]:.0f} to {memory[-1]:.0f} MiB in {options.minutes:g} min, {slope:+.2f} MiB a minute"
        bars.append((slope <= MOST_RISE_MIB, f"{words} once warm (at most {MOST_RISE_MIB})"))
    if options.json:
        figures = {"without": [without.cpu, without.p99], "with": [beside.cpu, beside.p99], "mib": memory}
        print(json.dumps(figures | {"slope": slope, "bars": [{"kept": kept, "words": words} for kept, words in bars]}))
    else:
        print("\n".join(f"{'kept  ' if kept else 'MISSED'}  {words}" for kept, words in bars))
    return 0 if all(kept for kept, _ in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
