"""A night in a process that is killed at any moment: each answer once, the right dollars, the state of a quiet night."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import random
import shutil
import sqlite3
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import pytest

from runtime.contract.prices import Price
from runtime.quality.runs.database import QualityDatabase
from runtime.quality.runs.runner import AT_A_TIME
from runtime.quality.values import CaseKey, QualityEvent, Stream
from tests.fakes.nights import DAY, HOURS, NIGHT
from tests.fakes.upstream import Turn, told, whole
from tests.runtime.quality.test_nights import Says, Town, good

KILLS = 50
LAST = 6  # the night that is killed; the one before was bad already, and this one is to end in a demotion
PRICE = Price(1000.0, 1000.0)
ANSWER_USD = 0.009  # 7 tokens in, 2 out
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


def says(pipe: Connection | None, name: str) -> Says:
    """Reports each question; what `bad` says from the fifth night on is no answer."""

    def answer(night: int, number: int) -> Turn:
        if pipe is not None:
            pipe.send_bytes(f"{name} {number}".encode())
        text = "no" if name == "bad" and night >= 5 and number % 2 else good(number)
        return Turn([whole(text)] if name == "local" else told(text))

    return answer


def worked(folder: Path, pipe: Connection | None, first: int, last: int, hour: int = 0) -> None:
    """Nights of one process, from an hour of the first one on, which it reports as it comes to it."""

    async def nights() -> None:
        town = Town(folder, {name: says(pipe, name) for name in ("local", "bad", "fine")}, PRICE)
        for number in range(first, last):
            town.number = number
            for each in range(hour if number == first else 0, HOURS):
                if pipe is not None:
                    pipe.send_bytes(b"hour")
                town.now = NIGHT + number * DAY + 60 + each * 4000
                await town.loop.turn()
                await town.loop.settled()
        town.close()

    asyncio.run(nights())


class Night(NamedTuple):
    """What a night leaves behind, but for ids. rows: how often each answer is stored, by the place of its run in the night."""

    states: dict[Stream, bytes]
    events: list[QualityEvent]
    rows: Counter[tuple[int, CaseKey]]
    usd: float


def left_behind(folder: Path) -> Night:
    database = QualityDatabase(folder)
    runs = [run for run in reversed(database.runs()) if run.created_at >= NIGHT + LAST * DAY]
    assert all(run.closed_at is not None for run in runs)
    rows = Counter((place, each.key) for place, run in enumerate(runs) for each in database.results(run.id))
    events = [QualityEvent(each.kind, each.target, each.set, each.words, at=each.at) for each in database.events()]
    states = database.states()
    database.close()
    town = Town(folder, {"local": says(None, "local")})
    town.now = NIGHT + LAST * DAY + 60
    usd = town.wallet.spent_usd
    town.close()
    return Night(states, events, rows, usd)


def kept_free(folder: Path) -> float:
    """Dollars of the calls that a process left open."""
    with contextlib.closing(sqlite3.connect(folder / "quality-spent.sqlite3")) as file:
        (micro,) = file.execute("SELECT coalesce(sum(micro), 0) FROM unsettled").fetchone()
    return float(micro) / 1e6


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_night_that_is_killed_at_any_moment_ends_as_a_quiet_one(tmp_path: Path) -> None:
    """SIGKILL at 50 moments: nothing stored is asked again, and states, events and rows are those of an undisturbed night."""
    before = tmp_path / "before"
    before.mkdir()
    worked(before, None, 0, LAST)
    quiet = tmp_path / "quiet"
    shutil.copytree(before, quiet)
    worked(quiet, None, LAST, LAST + 1)
    wanted = left_behind(quiet)
    assert "demoted" in [each.kind for each in wanted.events]
    assert set(wanted.rows.values()) == {1}
    clouds = sum(not key.target.startswith("local/") for _, key in wanted.rows)
    assert wanted.usd == pytest.approx(clouds * ANSWER_USD)
    draw, killed = random.Random(12), 0
    for number in range(KILLS):
        folder = tmp_path / f"night-{number}"
        shutil.copytree(before, folder)
        asked, hours, again, ended, kept_usd = Counter[str](), 0, 0, False, 0.0
        while not ended:
            ours, theirs = FORKS.Pipe(duplex=False)
            child = FORKS.Process(target=worked, args=(folder, theirs, LAST, LAST + 1, max(0, hours - 1)))
            child.start()
            theirs.close()
            # The first process dies somewhere, the next one perhaps too, and the third is left alone.
            until = draw.randrange(len(wanted.rows)) if again < 2 else -1
            mine = Counter[str]()
            hours = max(0, hours - 1)
            try:
                while True:
                    word = ours.recv_bytes().decode()
                    if word == "hour":
                        hours += 1
                    else:
                        mine[word] += 1
                    if mine.total() == until:
                        child.join(draw.random() * 0.02)
                        child.kill()
                        until = -1
            except EOFError:
                child.join()
            ended = child.exitcode == 0
            assert child.exitcode in (0, -9)
            killed += not ended
            again += not ended
            asked += mine
            if not ended:
                kept_usd += kept_free(folder)
        found = left_behind(folder)
        assert found.rows == wanted.rows, number
        assert found.states == wanted.states, number
        assert found.events == wanted.events, number
        # What was under way at a death is asked again. Its dollars are counted: what was kept free for it, or the answer's own.
        twice = asked.total() - sum(wanted.rows.values())
        assert 0 <= twice <= again * 3 * AT_A_TIME, number
        lost, broken = divmod(round((found.usd - wanted.usd - kept_usd) * 1e6), round(ANSWER_USD * 1e6))
        assert (0 <= lost <= twice, broken) == (True, 0), number
        shutil.rmtree(folder)
    assert killed >= KILLS
