"""Blocking calls in daemon threads."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from local_models.host.threads import in_daemon_thread

HUNG = """
import asyncio, threading
from local_models.host.threads import in_daemon_thread

async def main():
    await asyncio.wait((in_daemon_thread(threading.Event().wait, "hung"),), timeout=0.05)

asyncio.run(main())
"""


async def test_it_returns_and_raises_what_the_work_does() -> None:
    """The result or the exception of the work is the future's."""
    assert await in_daemon_thread(lambda: 3, "three") == 3
    with pytest.raises(ZeroDivisionError):
        await in_daemon_thread(lambda: 1 // 0, "zero")


async def test_a_cancelled_call_is_forgotten() -> None:
    """A result that arrives after the cancellation is dropped without a word in the loop's log."""
    held = threading.Event()
    future = in_daemon_thread(held.wait, "held")
    future.cancel()
    held.set()
    assert await in_daemon_thread(lambda: True, "after")


def test_a_call_that_never_returns_does_not_keep_the_process() -> None:
    """The interpreter ends although the thread hangs; with asyncio's own pool it would wait for ever."""
    assert subprocess.run([sys.executable, "-c", HUNG], timeout=20, check=False).returncode == 0
