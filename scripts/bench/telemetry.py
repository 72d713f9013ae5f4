"""What telemetry costs a request, and that no collector, however ill, makes a request slower.

    python -m scripts.bench telemetry [--rounds 20] [--seconds 1] [--json]

First the CPU time of its two halves: on the request's way (the header of an exchange, one append) and in the thread (two
spans made, encoded and put together), of everything sampled; the dearest of three runs. Then Hearths in front of the stub take
turns, two without telemetry, the others with a collector that takes everything, is not there, answers 429, or never answers.
Each is held against the first without in the same round, and the median over the rounds counts; how far apart the two without
are is what the machine's noise adds to the bounds.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import socket
import statistics
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from local_models.installer import progress
from runtime.contract.guard import Cargo, Receiver
from runtime.record.decisions import Considered, Decision, Exchange
from runtime.record.traces.collector import Collector
from runtime.record.traces.context import PARENT, TraceIds
from runtime.record.traces.exporter import Exporter
from runtime.record.traces.otlp import Encoder
from runtime.record.traces.spans import kept_for, spans_of
from scripts.bench.processes import free_port
from scripts.bench.rounds import bench_progress
from scripts.bench.upstream import stubbed_hearth
from scripts.bench.viewers import ask

MOST_ON_THE_WAY_US, MOST_IN_THE_THREAD_US = 5.0, 60.0  # a request
MOST_P50, MOST_P99 = 1.10, 2.0  # times what a request takes without telemetry, and the machine's noise besides
OFF, OFF_AGAIN = "off", "off again"
_CHUNK, _CHUNKS = 32, 100  # as the exporter takes them
_TIMEOUT_MS = "500"  # of one post: batches are given up, and counted, while the benchmark lasts


def decision(number: int) -> Decision:
    """A request with one exchange and what a record of `auto` usually has."""
    exchange = Exchange(
        "local/stub", "r0", 0.4, 210.0, first_token_ms=31.5, status=200, prompt_tokens=120, completion_tokens=64
    )
    return Decision(
        id=f"dec_{number:016x}",
        at=1_800_000_000.0 + number,
        dialect="openai_chat",
        model="auto",
        target="local/stub",
        words="nothing asks for another target",
        considered=(Considered("local/stub", "default"), Considered("openai/x", "default")),
        attempts=(exchange,),
        score=0.25,
        task="chat",
        stream=True,
        total_ms=211.0,
        ttft_ms=31.5,
        finish="stop",
        cost_usd=0.0001,
    )


class _Open:
    """A guard that lets everything out."""

    def check(self, cargo: Cargo | None, to: Receiver) -> None: ...


def dearest(work: Callable[[], None], requests: int) -> float:
    """Microseconds of CPU a request, the dearest of three runs."""
    gc.disable()
    try:
        taken = []
        for _ in range(3):
            start = time.thread_time_ns()
            work()
            taken.append((time.thread_time_ns() - start) / 1000 / requests)
    finally:
        gc.enable()
    return max(taken)


def halves() -> tuple[float, float]:
    """Microseconds a request, on its way and in the thread."""
    ids = TraceIds(b"secret", 1.0)
    requests = [decision(number) for number in range(_CHUNK * _CHUNKS)]
    names, client = [each.id for each in requests], {PARENT: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}

    def on_the_way() -> None:
        sent = Exporter(Collector("http://c/v1/traces"), ids, "1", _Open(), tuple)
        for name, each in zip(names, requests, strict=True):
            ids.headers(name, client, 0.4)
            sent.offer(each)

    def in_the_thread() -> None:
        encoder = Encoder({"service.name": "hearth"}, "1")
        for first in range(0, len(requests), _CHUNK):
            spans = []
            for each in requests[first : first + _CHUNK]:
                context = ids.context(each.id, each.trace)
                spans += spans_of(each, context, kept_for(each, context, 2000.0), {})
            encoder.spans(spans)

    return dearest(on_the_way, len(requests)), dearest(in_the_thread, len(requests))


@dataclass(slots=True)
class Side:
    """A Hearth. p50, p99: milliseconds, of each round. dropped: requests whose spans it lost."""

    url: str
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    failed: int = 0
    dropped: int = 0

    def asked(self, seconds: float) -> None:
        result = ask(self.url, seconds)
        self.p50.append(result.p50_ms)
        self.p99.append(result.p99_ms)
        self.failed += result.failed
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        self.dropped = int(float(next(x for x in lines if x.startswith("hearth_telemetry_dropped_total")).split()[-1]))


@contextlib.contextmanager
def answering(status: int) -> Iterator[str]:
    """The address of a collector that gives this answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """The address of a collector that takes connections and bytes, and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(100)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def beside(rounds: int, seconds: float, quiet: bool) -> Mapping[str, Side]:
    """Each Hearth under load, in turns."""
    with contextlib.ExitStack() as stack:
        folder, line = stack.enter_context(bench_progress("Telemetry", quiet=quiet))
        collectors = {
            OFF: "",
            OFF_AGAIN: "",
            "takes everything": stack.enter_context(answering(200)),
            "not there": f"http://127.0.0.1:{free_port()}",
            "answers 429": stack.enter_context(answering(429)),
            "never answers": stack.enter_context(silent()),
        }
        sides = {}
        for number, (name, url) in enumerate(collectors.items()):
            env = {"HEARTH_TELEMETRY__ENDPOINT": url, "HEARTH_TELEMETRY__SAMPLED": "1"}
            place = folder / str(number)
            place.mkdir()
            _, at = stack.enter_context(stubbed_hearth(place, {**env, "OTEL_EXPORTER_OTLP_TIMEOUT": _TIMEOUT_MS}))
            sides[name] = Side(at)
            ask(at, 1.0)
        turns(sides, rounds, seconds, line)
    return sides


def turns(sides: Mapping[str, Side], rounds: int, seconds: float, line: progress.StepLine) -> None:
    """Who begins changes from round to round, so that a machine that gets busier meets all alike."""
    names = list(sides)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            line.update(f"round {turn + 1} of {rounds}, {name}")
            sides[name].asked(seconds)


def against(side: Side, off: Side) -> tuple[float, float]:
    """How many times what a request takes without telemetry, in the middle and at the end: the median over the rounds."""
    pairs = ((side.p50, off.p50), (side.p99, off.p99))
    p50, p99 = (statistics.median(a / b for a, b in zip(*pair, strict=True)) for pair in pairs)
    return p50, p99


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every bar was kept and no request failed."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench telemetry",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each Hearth in a round")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(arguments)
    way, thread = halves()
    sides = beside(options.rounds, options.seconds, options.quiet)
    bars = [
        (way <= MOST_ON_THE_WAY_US, f"{way:.1f} µs on a request's way (at most {MOST_ON_THE_WAY_US:.0f})"),
        (thread <= MOST_IN_THE_THREAD_US, f"{thread:.1f} µs in the thread (at most {MOST_IN_THE_THREAD_US:.0f})"),
    ]
    spread = [max(each, 1 / each) for each in against(sides[OFF_AGAIN], sides[OFF])]
    most = (MOST_P50 * spread[0], MOST_P99 * spread[1])
    for name, side in sides.items():
        if name != OFF:
            times = against(side, sides[OFF])
            kept = times[0] <= most[0] and times[1] <= most[1] and not side.failed
            words = f"{name}: p50 {times[0]:.2f}x (at most {most[0]:.2f}), p99 {times[1]:.2f}x (at most {most[1]:.2f})"
            bars.append((kept, f"{words}, {side.failed} failed, spans of {side.dropped} requests dropped"))
    lost = [sides[name].dropped for name in ("not there", "answers 429", "never answers")]
    bars.append((min(lost) > 0, "what an ill collector did not take is counted"))
    if options.json:
        print(json.dumps([{"kept": kept, "words": words} for kept, words in bars]))
    else:
        print("\n".join(f"{'kept  ' if kept else 'MISSED'}  {words}" for kept, words in bars))
    return 0 if all(kept for kept, _ in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
