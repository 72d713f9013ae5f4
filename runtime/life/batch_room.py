"""Room on a local model for batch work, whoever sends it: the batch lane's lines, and requests with the hint `priority: batch`.

One slot of each replica and a part of its KV cache stay free, and none is taken while another request waits
(`LiveFleet.spare`). So an engine that knows no priorities is protected too. Batch work waits here in order of arrival.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator

from runtime.contract.targets import LOCAL
from runtime.fleet.fleet import LiveFleet

_LOOK_S = 0.05  # between two looks for room: other requests end without a word to this module


class BatchRoom:
    """One per process, on its event loop."""

    def __init__(self, fleet: LiveFleet, look_s: float = _LOOK_S) -> None:
        self._fleet, self._look_s = fleet, look_s
        self._inside: dict[str, int] = defaultdict(int)
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # the first of those that wait
        self._left = asyncio.Event()

    @contextlib.asynccontextmanager
    async def place(self, within_s: float, name: str = LOCAL) -> AsyncIterator[bool]:
        """Waits for a place, which is given back at the end. False, with no place taken, if there is none in time.

        name: of the local target. There is nothing to wait for while no replica is ready: the attempt finds that out, and
        says why.
        """
        fleet, taken = self._fleet, False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s), self._turns[name]:
                while fleet.is_ready(name) and fleet.spare(self._inside[name], name) <= 0:
                    self._left.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._look_s):
                            await self._left.wait()
                self._inside[name] += 1
                taken = True
        try:
            yield taken
        finally:
            if taken:
                self._inside[name] -= 1
                self._left.set()
