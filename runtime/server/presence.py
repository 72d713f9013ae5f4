"""Watches that the client is still there: its going away cancels the request's task, streaming or not, within a second."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import msgspec

from runtime.server.asgi import Receive

_LOOK_AFTER_S = 0.2  # most answers are quicker and never pay for a second task


class Watched(Protocol):
    """The reader of an answer. complete: it has all of it. gone: it hung up before that."""

    complete: bool
    gone: bool


class Presence(msgspec.Struct, eq=False):
    """A context around one answer; sets `sink.gone` before it cancels."""

    _receive: Receive
    _sink: Watched
    _task: asyncio.Task[Any] | None = None
    _handle: asyncio.TimerHandle | None = None
    _watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> Presence:
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(loop)
        self._handle = loop.call_later(_LOOK_AFTER_S, self._look, loop)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            self._handle.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watcher = loop.create_task(self._watch(), name="hearth: presence")

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        # After the last byte the server itself reports a disconnect: the answer was delivered.
        if not self._sink.complete and self._task is not None:
            self._sink.gone = True
            self._task.cancel()
