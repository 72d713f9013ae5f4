"""An engine that sleeps while nobody asks it, and is woken by the next request: vLLM's sleep mode, level 1.

Asleep, its weights are in the machine's memory and its cache is dropped: the GPU's memory is free for other programs. Level 1
alone, because level 2 forgets the weights and has given wrong answers after waking. A canary is asked after each waking,
before any request. The two calls are paths of vLLM's development mode: they are for a socket that only this user reaches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from local_models.replica.canary import CanaryQuestion, ask
from local_models.replica.instance import WatchedHop
from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.hop import HttpCall, Reply

_SLEEP_S = 120.0  # the weights are copied to the machine's memory
_WAKE_S = 120.0
_CANARY_S = 30.0


class DozingHop:
    """A `WatchedHop` of an engine that sleeps after `after_s` without a request. clock: monotonic seconds.

    question: the canary of the engine while it is up. fault: why it can be of no use any more, "" while it can.
    """

    def __init__(self, hop: WatchedHop, after_s: float, clock: Callable[[], float]) -> None:
        self._hop, self._after_s, self._clock = hop, after_s, clock
        self._turn = asyncio.Lock()
        self._waiting = 0  # requests that wait for it to wake
        self._up_at = clock()
        self.question: CanaryQuestion | None = None
        self.asleep, self.fault = False, ""

    def begin(self, question: CanaryQuestion | None) -> None:
        """The engine is up, and awake."""
        self.question, self.asleep, self.fault, self._up_at = question, False, "", self._clock()

    async def doze(self) -> None:
        """Sends the engine to sleep, if it has been idle for long enough."""
        since = max(self._up_at, self._hop.last_byte_at or 0.0)
        if self.asleep or self.in_flight or self._clock() - since < self._after_s:
            return
        async with self._turn:
            if self._hop.in_flight + self._waiting:  # since
                return
            try:
                status, body = await self._hop.probe("/sleep?level=1&mode=wait", _SLEEP_S, method="POST")
            except HopError as error:
                self.fault = f"it did not fall asleep: {error.failure.message}"
                return
            self.asleep = status == HTTPStatus.OK
            if not self.asleep:
                self.fault = f"it did not fall asleep ({status}): {body[:200].decode('utf-8', 'replace')}"

    async def open(self, call: HttpCall, *, connect_s: float) -> Reply:
        """Wakes the engine first, where it sleeps. Raises HopError."""
        if self.asleep or self._turn.locked():
            self._waiting += 1
            try:
                async with self._turn:
                    if self.asleep:
                        await self._wake()
            finally:
                self._waiting -= 1
        return await self._hop.open(call, connect_s=connect_s)

    async def _wake(self) -> None:
        try:
            status, body = await self._hop.probe("/wake_up", _WAKE_S, method="POST")
            words = "" if status == HTTPStatus.OK else f"({status}): {body[:200].decode('utf-8', 'replace')}"
            if not words and self.question is not None:
                outcome = await ask(self._hop, self.question, _CANARY_S)
                words = "" if outcome.good else outcome.words
        except HopError as error:
            words = error.failure.message
        if words:
            self.fault = f"it did not wake: {words}"
            raise HopError(Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, self.fault))
        self.asleep, self._up_at = False, self._clock()

    async def probe(self, path: str, timeout_s: float, *, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
        return await self._hop.probe(path, timeout_s, method=method, body=body)

    async def aclose(self) -> None:
        await self._hop.aclose()

    @property
    def in_flight(self) -> int:
        return self._hop.in_flight + self._waiting

    @property
    def last_byte_at(self) -> float | None:
        return self._hop.last_byte_at

    @property
    def quiet_since(self) -> float | None:
        return self._hop.quiet_since
