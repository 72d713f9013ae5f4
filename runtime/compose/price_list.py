"""The daily update of the clouds' price list, where `[prices] update` asks for it.

Nothing waits for it: until the first list is here, and after every failure, the prices stay as they are. A failure is reported
once, and stands in the status until an update succeeds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

_LOOK_S = 30.0  # between two looks at the setting, which a reload may change
_DAY_S = 86_400.0
_AGAIN_S = 3_600.0  # after a failure
_log = logging.getLogger("hearth.prices")


class PriceList:
    """fetch: takes a newer list, and returns its day. clock: seconds. trouble: why the latest update failed, or None."""

    def __init__(self, fetch: Callable[[], Awaitable[str]], clock: Callable[[], float]) -> None:
        self._fetch, self._clock, self._due = fetch, clock, clock()
        self.trouble: str | None = None

    async def run(
        self,
        wanted: Callable[[], bool],
        changed: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Updates while that is wanted, until cancelled. changed: puts the new prices in force."""
        while True:
            if not wanted():
                self.trouble = None
            elif self._clock() >= self._due:
                await self.update(changed)
            await sleep(_LOOK_S)

    async def update(self, changed: Callable[[], None]) -> None:
        """One update. Never raises."""
        try:
            day = await self._fetch()
            changed()
        except Exception as fault:  # noqa: BLE001 - a list in whatever form must not cost the prices that are known
            words = f"the price list could not be updated, the old prices hold: {str(fault) or type(fault).__name__}"
            if self.trouble is None:
                _log.warning(words)
            self.trouble, self._due = words, self._clock() + _AGAIN_S
        else:
            _log.info("the price list is that of %s", day)
            self.trouble, self._due = None, self._clock() + _DAY_S
