"""The thread of the response file: calls in order, a bounded queue, and an end that does not wait for ever."""

from __future__ import annotations

import asyncio
import threading

import pytest

from runtime.conversations.background import Background, QueueFullError


async def test_calls_run_in_order_in_one_thread() -> None:
    """Results and exceptions come back to the caller."""
    thread = Background("test")
    seen: list[str] = []
    first = thread.submit(lambda: seen.append(threading.current_thread().name))
    assert await thread.call(lambda: [*seen, threading.current_thread().name], 5) == ["test", "test"]
    assert first.done()
    with pytest.raises(ZeroDivisionError):
        await thread.call(lambda: 1 // 0, 5)
    thread.close(5)


async def test_the_queue_is_bounded() -> None:
    """A disk that stands still holds a bounded number of calls, and of bytes."""
    thread, release = Background("test", most_waiting=3, most_bytes=100), threading.Event()
    begun = threading.Event()

    def stand_still() -> None:
        begun.set()
        release.wait()

    thread.submit(stand_still)
    await asyncio.to_thread(begun.wait)
    thread.submit(lambda: None, size=90)
    with pytest.raises(QueueFullError):
        thread.submit(lambda: None, size=20)
    refused, last = 0, thread.submit(lambda: None)
    for _ in range(10_000):
        try:
            last = thread.submit(lambda: None)
        except QueueFullError:
            refused += 1
    assert refused == 9_999
    release.set()
    last.result(5)
    assert await thread.call(lambda: "again", 5) == "again"
    thread.close(5)


async def test_a_caller_does_not_wait_longer_than_it_may() -> None:
    """A call that had not begun by then never runs."""
    thread, release, ran = Background("test"), threading.Event(), threading.Event()
    thread.submit(release.wait)
    with pytest.raises(TimeoutError):
        await thread.call(ran.set, 0.01)
    release.set()
    await thread.call(lambda: None, 5)
    assert not ran.is_set()
    thread.close(5)


def test_the_end_does_not_wait_for_a_disk_that_stands_still() -> None:
    """The thread is a daemon: the process ends without it."""
    thread, release = Background("test"), threading.Event()
    thread.submit(release.wait)
    thread.close(0.01)
    assert thread._thread is not None and thread._thread.daemon and thread._thread.is_alive()
    release.set()


def test_a_thread_that_was_never_needed_never_starts() -> None:
    """Closing it is nothing."""
    thread = Background("test")
    thread.close(5)
    assert thread._thread is None


async def test_a_closed_thread_takes_no_calls() -> None:
    """A request that is still under way is refused instead of waiting for nobody."""
    thread = Background("test")
    await thread.call(lambda: None, 5)
    thread.close(5)
    with pytest.raises(QueueFullError):
        thread.submit(lambda: None)
