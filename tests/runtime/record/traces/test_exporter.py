"""The thread that posts, against a collector in this process."""

from __future__ import annotations

import socket

import pytest

from runtime.contract.guard import Cargo, DepartureRefused, Receiver, Way
from runtime.record.decisions import Decision
from runtime.record.metrics import Gauges, Metrics
from runtime.record.traces.collector import Collector
from runtime.record.traces.context import TraceIds
from runtime.record.traces.exporter import Exporter
from tests.fakes.collector import receiving


class Open:
    """A guard that lets everything out, and keeps what it was asked."""

    def __init__(self, refuses: str = "") -> None:
        self.asked: list[tuple[Cargo | None, Receiver]] = []
        self._refuses = refuses

    def check(self, cargo: Cargo | None, to: Receiver) -> None:
        self.asked.append((cargo, to))
        if self._refuses:
            raise DepartureRefused(self._refuses)


def exporter(url: str, guard: Open | None = None, *, most: int = 100, metrics: bool = False) -> Exporter:
    counted = Metrics(lambda: Gauges(in_flight={"local/small": 1}), ["local/small"])
    to = Collector(
        f"{url}/v1/traces", f"{url}/v1/metrics" if metrics else "", {"authorization": "Bearer x"}, timeout_s=5.0
    )
    ids = TraceIds(b"s", 1.0)
    return Exporter(to, ids, "1", guard or Open(), counted.families, every_s=0.01, most=most)


def decision(number: int) -> Decision:
    return Decision(id=f"dec_{number:03}", at=1_800_000_000.0 + number, dialect="openai_chat", model="auto")


def test_each_request_arrives_once() -> None:
    """Also where the collector is busy at first, and what waits at the end; the guard is asked each time."""
    guard = Open()
    with receiving(503, 429, 200) as there:
        sent = exporter(there.url, guard, metrics=True)
        for number in range(70):
            sent.offer(decision(number))
        sent.start()
        for _ in range(3):
            assert there.came.acquire(timeout=20)
        sent.offer(decision(70))
        sent.close(20.0)
        assert there.decisions() == [f"dec_{number:03}" for number in range(71)]
        assert (sent.dropped, sent.trouble) == (0, None)
        assert (
            there.headers["authorization"] == "Bearer x" and there.headers["content-type"] == "application/x-protobuf"
        )
        assert len(there.metrics) == 1
    assert {cargo for cargo, _ in guard.asked} == {Cargo(Way.TELEMETRY)} and len(guard.asked) >= 4


@pytest.mark.parametrize("answer", [400, 0])
def test_a_collector_that_takes_nothing_costs_the_traces_alone(answer: int) -> None:
    with receiving(answer) as there:
        sent = exporter(there.url)
        sent.offer(decision(1))
        sent.start()
        assert there.came.acquire(timeout=20)
        sent.close(20.0)
    assert sent.dropped == 1 and "127.0.0.1" in str(sent.trouble)


def test_a_full_queue_drops_and_counts() -> None:
    """Without a thread nothing is taken out."""
    sent = exporter("http://127.0.0.1:1", most=2)
    for number in range(5):
        sent.offer(decision(number))
    assert sent.dropped == 3


def test_the_guard_may_refuse() -> None:
    with receiving() as there:
        sent = exporter(there.url, Open("not now"))
        sent.offer(decision(1))
        sent.start()
        sent.close(20.0)
        assert not there.traces
    assert (sent.dropped, sent.trouble) == (1, "telemetry: not now")


def test_a_silent_collector_holds_nothing_up() -> None:
    """It takes what is sent and never answers: requests are taken in until the queue is full, and the rest is counted."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        sent = exporter(f"http://127.0.0.1:{listening.getsockname()[1]}", most=10)
        sent.offer(decision(0))
        sent.start()
        link, _ = listening.accept()  # from here on the thread waits for an answer
        for number in range(1, 16):
            sent.offer(decision(number))
        assert sent.dropped == 5
        sent.close(0.0)
        link.close()
    sent.close(20.0)
    assert sent.dropped == 16 and "cannot be reached" in str(sent.trouble)
