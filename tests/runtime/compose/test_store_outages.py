"""Three Hearths under load while their store is killed, frozen and emptied: nobody waits, and all is counted once."""

from __future__ import annotations

import contextlib
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import valkey

from tests.fakes.valkey_server import ValkeyServer, valkey_server
from tests.runtime.cli.test_serve import Served, engine
from tests.runtime.compose.test_store_served import Client, hearths, standing, until

__all__ = ["engine"]
HEARTHS = 3
WAITS_S = 0.06  # more than an answer took before
SAYS_S = BACK_S = 2.0
AWAY = re.compile(r"^hearth_fleet_store_away_seconds ([0-9.e+-]+)$", re.MULTILINE)


class Load:
    """A client at each Hearth that asks the engine and, every tenth time, the priced target. pause_s: between two requests.

    answers: (when it was asked, seconds, status, model) of each.
    """

    def __init__(self, three: list[Served], pause_s: float) -> None:
        self.answers: list[tuple[float, float, int, str]] = []
        self._pause_s, self._stop = pause_s, threading.Event()
        self._threads = [threading.Thread(target=self._asks, args=(each,)) for each in three]

    def __enter__(self) -> Load:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join()

    def _asks(self, hearth: Served) -> None:
        number = 0
        with Client(hearth) as client:
            while not self._stop.wait(self._pause_s):
                number += 1
                model, at = "paid" if number % 10 == 0 else "local", time.monotonic()
                status = client.ask(model)
                self.answers.append((at, client.took[-1], status, model))

    def between(self, since: float, till: float) -> list[float]:
        """Seconds of the answers to requests of a time, sorted."""
        return sorted(took for at, took, _, _ in self.answers if since <= at < till)


def says_away(hearth: Served) -> bool:
    """In the fleet's report, the status, the metrics and the record of the latest request."""
    with urllib.request.urlopen(f"http://127.0.0.1:{hearth.port}/metrics", timeout=10) as answer:
        gauge = AWAY.search(answer.read().decode())
    return (
        standing(hearth)["away_s"] is not None
        and any("has been away" in note for note in hearth.get("/hearth/status")["notes"])
        and gauge is not None
        and float(gauge[1]) > 0
        and hearth.get("/hearth/decisions?limit=1")["data"][0]["store_away_s"] is not None
    )


def within(most_s: float, holds: Callable[[], bool]) -> float:
    """Seconds until something holds, which may be no more than so many."""
    took = until(holds)
    assert took <= most_s, f"{took:.2f} s"
    return took


def spent_there(server: ValkeyServer) -> list[int]:
    """Micro-dollars of the day that each Hearth has spent, as the store has it."""
    client: Any = valkey.Valkey.from_url(server.url, decode_responses=True)
    with contextlib.closing(client):
        names = [
            name for name in client.scan_iter("{hearth}:budget:*:") if len(name.split(":")[2]) == len("2026-11-29")
        ]
        lines = [line for name in names for line in client.hvals(name)]
    return [int(line.split(":")[1]) for line in lines]


def spent_here(hearth: Served) -> int:
    limits = hearth.get("/hearth/status")["budget"]["limits"]
    [day] = [each for each in limits if each["period"] == "day" and not each["target"] and not each["key"]]
    return round(float(day["spent_usd"]) * 1e6)


@contextlib.contextmanager
def fleet(tmp_path: Path, engine: str) -> Iterator[tuple[list[Served], ValkeyServer]]:
    """Three Hearths that have heard each other, and their store."""
    (tmp_path / "store").mkdir()
    with valkey_server(tmp_path / "store") as server, hearths(tmp_path, engine, HEARTHS, server.url) as three:
        until(lambda: all(standing(each)["hearths"] == HEARTHS for each in three))
        yield three, server


def outages(tmp_path: Path, engine: str, away_s: float, pause_s: float, share: float) -> None:
    """Kills the store, starts it emptied, and freezes it; each time it is away for so many seconds.

    share: of the answers that must not be slower than the slowest one before.
    """
    with fleet(tmp_path, engine) as (three, server), Load(three, pause_s) as load:
        until(lambda: sum(model == "paid" for _, _, _, model in load.answers) >= 5 * HEARTHS)
        began = time.monotonic()
        for fault in ("killed", "frozen"):
            at = time.monotonic()
            server.kill() if fault == "killed" else server.freeze()
            noticed = within(SAYS_S, lambda: all(says_away(each) for each in three))
            time.sleep(max(0.0, at + away_s - time.monotonic()))
            server.start(empty=True) if fault == "killed" else server.thaw()
            back = within(BACK_S, lambda: not any(standing(each)["away_s"] is not None for each in three))
            till = time.monotonic()
            print(f"{fault} for {away_s:g} s: said by all after {noticed:.2f} s, in use again after {back:.2f} s")
            usual, during = load.between(0.0, began), load.between(at, till)
            quick = sum(took <= usual[-1] + WAITS_S for took in during)
            print(
                f"  slowest of {len(during)} answers {1e3 * during[-1]:.0f} ms, of {len(usual)} before {1e3 * usual[-1]:.0f}"
            )
            assert len(during) > 2 * away_s and quick >= share * len(during)
            until(lambda: sorted(spent_there(server)) == sorted(map(spent_here, three)))
        assert {status for _, _, status, _ in load.answers} == {200}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_store_that_is_away_for_a_minute_stops_no_request(tmp_path: Path, engine: str) -> None:
    outages(tmp_path, engine, 60.0, 0.1, 1.0)


def test_a_store_that_is_away_for_some_seconds_stops_no_request(tmp_path: Path, engine: str) -> None:
    """Other tests use the same machine: some answers are slow for their sake."""
    outages(tmp_path, engine, 2.0, 0.03, 0.95)
