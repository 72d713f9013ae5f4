"""A judged week in a process that is killed at any moment: nothing is judged twice, and the report is that of a quiet week."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections import Counter
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtime.quality.judge.journal import FILE as JOURNAL
from runtime.quality.judge.journal import JournalLine
from runtime.quality.judge.watch import FILE, JudgedWeeks, JudgeFolders, JudgeWatch
from runtime.quality.judge.weekly import WeekReport
from runtime.quality.runs.store import QualityStore
from runtime.settings import Quality
from tests.fakes.box import Box
from tests.fakes.upstream import Turn, engine_backend, told
from tests.runtime.quality.judge.scripted import FENCED
from tests.runtime.quality.judge.test_weekly import answering, fair, labelled, lines, row

KILLS = 20
NOW = 1_795_919_400.0
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])
UNDER_WAY = 4 * 2  # questions, four pairs in both orders


def question(body: Any) -> str:
    """A name for what the judge is asked, without the mark that is new each time."""
    text: str = body["messages"][1]["content"]
    return text.replace(FENCED.findall(text)[0][0], "")


def judged(folder: Path, pipe: Connection | None) -> None:
    """One process, which reports each question of its judge before it answers."""

    def say(body: Any) -> str:
        if pipe is not None:
            pipe.send_bytes(question(body).encode())
        return fair(body)

    async def week() -> None:
        judge = answering("judge", say)
        judge.target = replace(judge.target, provider="other", model="judge-model")
        box = Box(
            engine_backend((Turn(told("x")),)), (answering("arm", lambda body: "worse 1"), judge), wall=lambda: NOW
        )
        rows = [row(n, f"local answer to {n} 5", at=NOW - 7 * 86_400.0) for n in range(60)]
        wanted = Quality.model_validate({"judge": "judge", "sample": {"keep": True}})
        watch = JudgeWatch(
            box.desk, QualityStore(folder), lambda since: rows, wanted, JudgeFolders(folder, folder), print
        )
        if await watch.look() is None:
            report(folder)  # the process before was killed behind its end

    labelled(folder, lines(40))
    asyncio.run(week())


def report(folder: Path) -> tuple[WeekReport, dict[str, Any]]:
    """The one week that is kept, without the order in which its pairs ended."""
    kept = msgspec.json.decode((folder / FILE).read_bytes(), type=JudgedWeeks)
    (week,) = kept.weeks
    assert not (folder / JOURNAL).exists()
    pairs, labels = {each.id: each for each in week.pairs}, {each.id: each for each in week.labels}
    return msgspec.structs.replace(week, pairs=(), labels=()), {id: (pairs[id], labels[id]) for id in pairs}


def stored(folder: Path) -> Counter[str]:
    """Ids of the pairs in the journal."""
    found = Counter[str]()
    if (folder / JOURNAL).exists():
        for line in (folder / JOURNAL).read_bytes().splitlines()[2:]:
            try:
                found[msgspec.json.decode(line, type=JournalLine).pair.id] += 1
            except msgspec.MsgspecError:
                continue
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_week_that_is_killed_at_any_moment_ends_as_a_quiet_one(tmp_path: Path) -> None:
    """SIGKILL at 20 moments, some weeks twice: nothing judged twice, nothing lost."""
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    judged(quiet, None)
    wanted = report(quiet)
    assert len(wanted[1]) == 60 and wanted[0].believed
    questions = 2 * (60 + 40 + 20)
    draw, killed, number = random.Random(5), 0, 0
    while killed < KILLS:
        folder, number = tmp_path / f"week-{number}", number + 1
        folder.mkdir()
        asked, deaths, ended = Counter[str](), 0, False
        while not ended:
            kept = stored(folder)
            assert not kept or max(kept.values()) <= 2  # an anchor, and the same one again
            ours, theirs = FORKS.Pipe(duplex=False)
            child = FORKS.Process(target=judged, args=(folder, theirs))
            child.start()
            theirs.close()
            until = draw.randrange(1, questions) if deaths < 2 else -1
            mine = 0
            try:
                while True:
                    asked[ours.recv_bytes().decode()] += 1
                    mine += 1
                    if mine == until:
                        child.join(draw.random() * 0.01)
                        child.kill()
                        until = -1
            except EOFError:
                child.join()
            assert child.exitcode in (0, -9)
            ended = child.exitcode == 0
            # What had its verdict in the file was not asked for again.
            assert mine <= questions - 2 * kept.total(), number
            deaths += not ended
            killed += not ended
        assert report(folder) == wanted, number
        assert questions <= asked.total() <= questions + deaths * UNDER_WAY * 2, number
