"""Notices to the operator: one line when a budget is spent, an engine was given up, or a model was demoted.

`give` never waits. One background task takes the notices in order and sends each to the webhook, to the command, or to both;
what is not taken within the time-out is tried again, and then dropped. A notice holds no data of any request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import urlsplit

import httpx
import msgspec

from runtime.contract.guard import Cargo, DepartureRefused, Guard, Receiver, Way
from runtime.settings import NoticeSettings

BUDGET_SPENT = "budget_spent"
ENGINE_GIVEN_UP = "engine_given_up"
MODEL_DEMOTED = "model_demoted"
MODEL_PROMOTED = "model_promoted"
QUALITY_WARNING = "quality_warning"  # everyday traffic changed, or the judge said something
QUALITY_ALARM = "quality_alarm"  # several models turned suspicious together: nobody is demoted

MOST = 100  # notices that wait
_TRIES = 3
_PAUSE_S = 2.0  # before the second try; doubled before the third
_KEPT_ENV = ("PATH", "HOME", "LANG", "TZ")  # no key of a vendor is handed to the command
_log = logging.getLogger("hearth.notices")


class Notice(msgspec.Struct, frozen=True):
    """kind: budget_spent, engine_given_up, …. text: one sentence, the member that chat systems show. at: unix seconds."""

    kind: str
    text: str
    at: float


class NoticeError(Exception):
    """The reason in words why a notice was not taken. No address is in it: a webhook's may be a secret."""


class Notices:
    """settings: replaced whole on a reload. wall: unix seconds. env: of the process. trouble: why the latest was not taken.

    lost: notices that were dropped, from a full queue or after the last try. idle: set while none waits.
    """

    def __init__(
        self,
        settings: NoticeSettings,
        guard: Guard,
        wall: Callable[[], float],
        env: Mapping[str, str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.settings = settings
        self.trouble: str | None = None
        self.lost = 0
        self._guard, self._wall, self._sleep = guard, wall, sleep
        self._env = {name: env[name] for name in _KEPT_ENV if name in env}
        self._waiting: deque[Notice] = deque()
        self._given, self.idle = asyncio.Event(), asyncio.Event()

    def give(self, kind: str, text: str) -> None:
        """Queues a notice. The oldest one gives way where the queue is full. Nothing happens without a receiver."""
        if not (self.settings.url or self.settings.command):
            return
        if len(self._waiting) >= MOST:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(Notice(kind, text, self._wall()))
        self.idle.clear()
        self._given.set()

    async def run(self) -> None:
        """Sends notices, one after another, until cancelled."""
        while True:
            self._given.clear()
            while self._waiting:
                await self._sent(self._waiting.popleft())
            self.idle.set()
            await self._given.wait()

    async def _sent(self, notice: Notice) -> None:
        """One notice to each receiver. One that does not take it keeps the other from nothing."""
        settings, body = self.settings, msgspec.json.encode(notice)
        found: list[str] = []
        if settings.url:
            found += await self._tried(lambda: self._posted(settings, body))
        if settings.command:
            found += await self._tried(lambda: self._ran(settings.command, body, settings.timeout))
        self.trouble = "; ".join(found) or None

    async def _tried(self, send: Callable[[], Awaitable[None]]) -> list[str]:
        """Why a receiver did not take a notice, after the last try; empty if it did."""
        for number in range(_TRIES):
            try:
                await send()
            except NoticeError as error:
                why = str(error)
                if number + 1 < _TRIES:
                    await self._sleep(_PAUSE_S * 2**number)
            else:
                return []
        self.lost += 1
        _log.error("a notice was dropped: %s", why)
        return [why]

    async def _posted(self, settings: NoticeSettings, body: bytes) -> None:
        """Raises NoticeError unless the webhook answers 2xx. Its answer is not read; a redirect is not followed."""
        at = urlsplit(settings.url)
        headers = {"content-type": "application/json", "user-agent": "hearth"}
        if settings.key is not None:
            headers["authorization"] = f"Bearer {settings.key.reveal()}"
        try:
            self._guard.check(Cargo(Way.NOTICE), Receiver(at.hostname or "", f"{at.scheme}://{at.netloc}"))
            made = await asyncio.to_thread(lambda: httpx.AsyncClient(timeout=None))  # its TLS context costs 40 ms
            async with (
                made as client,
                asyncio.timeout(settings.timeout),
                client.stream("POST", settings.url, content=body, headers=headers) as reply,
            ):
                if not reply.is_success:
                    raise NoticeError(f"the webhook answers {reply.status_code}")
        except TimeoutError as error:
            raise NoticeError(f"the webhook did not answer within {settings.timeout:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise NoticeError(f"the webhook cannot be reached ({type(error).__name__})") from error
        except DepartureRefused as error:
            raise NoticeError(str(error)) from error

    async def _ran(self, command: Sequence[str], body: bytes, within_s: float) -> None:
        """Raises NoticeError unless the command exits with 0. It gets the notice on its input; its output is not read."""
        quiet = asyncio.subprocess.DEVNULL
        try:
            child = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=quiet,
                stderr=quiet,
                env=self._env,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise NoticeError(f"the command cannot be run ({error})") from error
        try:
            async with asyncio.timeout(within_s):
                await child.communicate(body)
        except TimeoutError as error:
            raise NoticeError(f"the command did not end within {within_s:g} s") from error
        finally:
            # Whatever it left running in its session ends with it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            if child.returncode is None:
                await child.wait()
        if child.returncode:
            raise NoticeError(f"the command ended with {child.returncode}")
