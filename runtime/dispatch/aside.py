"""Pure work on a large body beside the event loop: reading or translating a megabyte of small parts takes up to 0.3 s.

One thread for the process, not a pool: Python lets one thread compute at a time, so that more would only make the loop wait
for each of them in turn. The loop gets its turn back within 5 ms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

LARGE = 64 << 10  # bytes: about 5 ms of reading at most, less than a thread is worth

_T = TypeVar("_T")
_thread = ThreadPoolExecutor(1, "hearth: large bodies")


async def aside(work: Callable[[], _T], size: int, large: int = LARGE) -> _T:
    """The result of `work`, which awaits nothing and changes nothing: at once for a small body, in the thread for a large one.

    size: bytes of the body. Raises what `work` raises. Cancelled, it leaves the thread to finish alone.
    """
    if size < large:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_thread, work)
