"""Warnings from everyday traffic: of what changed against its own history, and of nothing else."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from runtime.quality.signal_watch import SignalWatch
from runtime.quality.signals import DayCounts, SignalState, SignalWarning, TrafficStream, counted, observed
from runtime.record.decisions import Decision, DecisionIds, Exchange
from runtime.record.store import Store

STREAM = TrafficStream("openai/gpt", "extraction")


def day(
    random: Random, *, refused: float = 0.02, cut: float = 0.03, malformed: float = 0.01, length: int = 200
) -> DayCounts:
    """200 answers."""

    def draw(share: float) -> int:
        return sum(random.random() < share for _ in range(200))

    return DayCounts(
        200, draw(refused), draw(cut), draw(malformed), tuple([int(random.gauss(length, 40)) for _ in range(200)])
    )


def lived(random: Random, days: int, **after: float) -> list[str]:
    """The shares that were warned of: thirty usual days, then others."""
    state, found = SignalState(), list[str]()
    for number in range(30 + days):
        state, warnings = observed(STREAM, state, day(random, **(after if number >= 30 else {})))  # type: ignore[arg-type]
        found += [each.share for each in warnings]
    return found


@pytest.mark.parametrize(
    ("share", "after"),
    [
        ("refused", {"refused": 0.2}),
        ("cut", {"cut": 0.25}),
        ("malformed", {"malformed": 0.15}),
        ("short", {"length": 120}),
    ],
)
def test_what_changed_is_warned_of_once(share: str, after: dict[str, float]) -> None:
    """Within ten days, and no other share with it."""
    assert lived(Random(1), 10, **after) == [share]


def test_usual_days_are_not_warned_of() -> None:
    """Ten years of one stream."""
    assert sum(len(lived(Random(seed), 365)) for seed in range(10)) == 0


def test_evaluation_failures_and_quiet_days_count_for_nothing() -> None:
    """Only whole answers to clients, and days with enough of them."""

    def made(**more: object) -> Decision:
        return Decision(id="dec_1", at=1.0, dialect="openai_chat", model="auto", target="a/b", task="chat", **more)  # type: ignore[arg-type]

    garbled = Exchange("a/b", "a", 0.0, 1.0, outcome="garbled")
    rows = [
        made(finish="length"),
        made(origin="quality"),
        made(status=502),
        made(finish="refusal", attempts=(garbled,)),
    ]
    assert counted(rows) == {TrafficStream("a/b", "chat"): DayCounts(2, 1, 1, 1, (0, 0))}
    assert observed(STREAM, SignalState(), DayCounts(5)) == (SignalState(), [])


async def test_days_are_read_from_the_store_once_and_kept(tmp_path: Path) -> None:
    """A week of usual days, then refusals: warned of, also after a restart in between."""
    clock = [0.0]
    store = Store(tmp_path / "d.sqlite3", retention_days=90, max_mb=10, clock=lambda: clock[0], notice=lambda _: None)
    told: list[SignalWarning] = []
    ids = DecisionIds(lambda: clock[0], 1)
    watch = SignalWatch(store, tmp_path, lambda: clock[0], told.append)
    for day in range(1, 13):
        for number in range(60):
            clock[0] = day * 86_400.0 + number
            finish = "refusal" if day > 8 and number % 2 else "stop"
            store.add(
                Decision(id=ids.next(), at=clock[0], dialect="openai_chat", model="auto", target="a/b", finish=finish)
            )
        clock[0] = (day + 1) * 86_400.0 + 60
        if day == 9:
            watch = SignalWatch(store, tmp_path, lambda: clock[0], told.append)
            await watch.resume()
        await watch.look()
    assert [(each.share, each.target) for each in told] == [("refused", "a/b")]
    assert watch.warnings == tuple(told)
    store.close()
