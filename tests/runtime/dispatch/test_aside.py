"""Work on large bodies runs beside the loop, one at a time; work on small ones where it is asked for."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from runtime.dispatch.aside import aside
from runtime.wire.raw_body import BadBody


async def test_a_small_body_is_worked_on_at_once() -> None:
    """In the loop's own thread, without a suspension."""
    loops = threading.get_ident()
    assert await aside(threading.get_ident, 10, large=11) == loops


async def test_a_large_body_leaves_the_loop_free() -> None:
    """The loop goes round while another thread computes."""
    turns, over = 0, threading.Event()

    def work() -> int:
        assert over.wait(5)
        return threading.get_ident()

    task = asyncio.create_task(aside(work, 11, large=11))
    while turns < 10:
        await asyncio.sleep(0)
        turns += 1
    over.set()
    assert await task != threading.get_ident()


async def test_one_thread_does_it_all() -> None:
    """More would only wait for each other, and let the loop wait for all of them."""
    found = await asyncio.gather(*(aside(threading.get_ident, 1, large=0) for _ in range(20)))
    assert len(set(found)) == 1


@pytest.mark.parametrize("large", [0, 1000])
async def test_a_fault_is_raised_where_the_work_was_asked_for(large: int) -> None:
    """A bad body stays a bad body."""

    def work() -> None:
        raise BadBody("no", "messages[3]")

    with pytest.raises(BadBody, match="no"):
        await aside(work, 10, large=large)


async def test_a_cancelled_request_does_not_wait_for_the_thread() -> None:
    """What it computes is nobody's any more, and the next request gets its own."""
    begun, over = threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return over.wait(5)

    task = asyncio.create_task(aside(work, 1, large=0))
    while not begun.is_set():
        await asyncio.sleep(0)
    task.cancel()
    before = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - before < 1.0
    over.set()
    assert await aside(lambda: 7, 1, large=0) == 7
