"""The file of stored responses: its faults are said once and never leave a write."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.conversations.disk import Disk
from runtime.conversations.file import ResponseFile
from runtime.conversations.limits import ON_DISK
from tests.fakes.clock import FakeClock
from tests.runtime.conversations.values import stored


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_000_000.0)


async def test_a_fault_that_comes_and_goes_is_noticed_once_a_minute(tmp_path: Path, clock: FakeClock) -> None:
    """However often the disk catches up in between."""
    noticed: list[str] = []
    disk = Disk(tmp_path / "responses.sqlite3", clock, ON_DISK, noticed.append)
    for _ in range(1_000):
        disk.say("too slow")
        disk.write(lambda file: file.add(stored("a"), ""))
        assert disk.trouble is None
    assert noticed == ["too slow"]
    await clock.advance(61)
    disk.say("too slow")
    assert noticed == ["too slow"] * 2
    disk.close()


def test_any_exception_of_a_write_is_said(tmp_path: Path, clock: FakeClock) -> None:
    """Nobody waits for a write; the next one is tried all the same."""

    def fail(file: ResponseFile) -> None:
        raise ZeroDivisionError("odd")

    noticed: list[str] = []
    disk = Disk(tmp_path / "responses.sqlite3", clock, ON_DISK, noticed.append)
    disk.write(fail)
    assert [str(disk.trouble)] == noticed and "odd" in noticed[0]
    disk.write(lambda file: file.add(stored("a"), ""))
    assert disk.trouble is None
    assert disk.read(lambda file: file.get("a", ""), None) is not None
    disk.close()


async def test_a_file_that_failed_is_left_alone_for_a_while(tmp_path: Path, clock: FakeClock) -> None:
    """A failing disk is not asked again by every request."""
    tries: list[int] = []

    def fail(file: ResponseFile) -> None:
        tries.append(1)
        raise OSError(5, "Input/output error")

    disk = Disk(tmp_path / "responses.sqlite3", clock, ON_DISK, lambda words: None)
    for _ in range(100):
        disk.write(fail)
    assert len(tries) == 1
    with pytest.raises(OSError, match="Input/output error"):
        disk.read(lambda file: file.get("a", ""), None)
    await clock.advance(6)
    disk.write(fail)
    assert len(tries) == 2
    disk.close()
