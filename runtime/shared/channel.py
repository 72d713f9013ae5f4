"""The channel of a fleet's store: messages that every Hearth publishes and every Hearth hears, its own too. Nobody keeps them.

Runs on the event loop and never holds it up: a message that the store does not take in 50 ms is lost, and no other is sent for
a second. A connection on which nothing was heard for three seconds is opened anew, and so is one that nobody read for as
long, because this process stood still: what has piled up on it is old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from valkey.asyncio import Valkey
from valkey.asyncio.retry import Retry
from valkey.backoff import NoBackoff
from valkey.exceptions import ValkeyError

from runtime.shared.store import NOT_ASKED_S, WITHIN_S, host_checked, key_of

_NAME = key_of("in flight")
_CONNECT_S = 1.0
_SILENT_S = 3.0


class StoreChannel:
    """clock: monotonic seconds. sent: messages that the store took."""

    def __init__(self, url: str, password: str | None, clock: Callable[[], float], name: str = _NAME) -> None:
        # The client's methods are typed in part alone.
        self._client: Any = Valkey.from_url(
            url,
            password=password,
            socket_timeout=WITHIN_S,
            socket_connect_timeout=WITHIN_S,
            retry=Retry(NoBackoff(), 0),
            client_name="hearth",
            **host_checked(url),
        )
        self._clock, self._name = clock, name
        self._next = 0.0
        self.sent = 0

    @property
    def resting(self) -> bool:
        """True if nothing is sent at present, because a message was not taken."""
        return self._clock() < self._next

    async def send(self, data: bytes) -> bool:
        """False if the store did not take the message in time."""
        try:
            async with asyncio.timeout(2 * WITHIN_S):  # a connection may have to be opened first
                await self._client.publish(self._name, data)
        except (ValkeyError, OSError, TimeoutError):
            self._next = self._clock() + NOT_ASKED_S
            return False
        self.sent += 1
        return True

    async def listen(self, take: Callable[[bytes], None]) -> None:
        """Gives each message to `take`, until cancelled."""
        while True:
            try:
                async with self._client.pubsub() as heard:
                    async with asyncio.timeout(_CONNECT_S):
                        await heard.subscribe(self._name)
                    read_at = self._clock()
                    while (message := await heard.get_message(timeout=_SILENT_S)) is not None:
                        before, read_at = read_at, self._clock()
                        if read_at - before > _SILENT_S:
                            break
                        if message["type"] == "message":
                            take(message["data"])
            except (ValkeyError, OSError, TimeoutError):
                pass
            await asyncio.sleep(NOT_ASKED_S)

    async def aclose(self) -> None:
        await self._client.aclose()
