"""An alarm cancels what is late, can be moved both ways, and never swallows somebody else's cancellation."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from runtime.dispatch import alarm as module
from runtime.dispatch.alarm import Alarm

NEVER_S = 60.0


def alarm(seconds: float) -> Alarm:
    loop = asyncio.get_running_loop()
    return Alarm(loop, loop.time() + seconds)


def later(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_what_is_late_ends_in_a_timeout() -> None:
    """The wait is cancelled, and the cancellation does not outlive the context."""
    with pytest.raises(TimeoutError), alarm(0.01):
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_is_in_time_is_left_alone() -> None:
    """No timer stays behind."""
    with alarm(0.01):
        await asyncio.sleep(0)
    await asyncio.sleep(0.03)


async def test_it_can_be_moved_on() -> None:
    """The timer that rings too early is wound again."""
    began = later(0)
    with pytest.raises(TimeoutError), alarm(0.01) as set_alarm:
        set_alarm.move(later(0.05))
        await asyncio.Event().wait()
    assert later(0) - began >= 0.045


async def test_it_can_be_moved_forward() -> None:
    """A time nearer than the timer's is kept too."""
    with pytest.raises(TimeoutError), alarm(NEVER_S) as set_alarm:
        set_alarm.move(later(0.01))
        await asyncio.Event().wait()


async def test_while_it_is_off_nothing_is_late() -> None:
    """It rings for nobody, until it is moved again."""
    with pytest.raises(TimeoutError), alarm(0.01) as set_alarm:
        set_alarm.move(None)
        await asyncio.sleep(0.03)
        set_alarm.move(later(0.01))
        await asyncio.Event().wait()


async def test_somebody_elses_cancellation_stays_one() -> None:
    """A client that goes away is no time-out."""

    async def wait() -> None:
        with alarm(NEVER_S):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_arrived_while_the_process_stood_still_is_read_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: who has said nothing then is late."""
    monkeypatch.setattr(module, "_STOOD_STILL_S", 0.1)
    monkeypatch.setattr(module, "_READING_S", 0.1)
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    here.setblocking(False)

    def stands_still() -> None:
        there.sendall(b"x")
        time.sleep(0.3)

    with here, there:
        with alarm(0.05):
            loop.call_soon(stands_still)
            assert await loop.sock_recv(here, 1) == b"x"
        began = later(0)
        with pytest.raises(TimeoutError), alarm(0.05):
            loop.call_soon(time.sleep, 0.3)
            await asyncio.Event().wait()
        assert 0.4 <= later(0) - began < 10.0
