"""Watches that the client is still there: its going away cancels the request's task, streaming or not, within a second.

A client that stays and does not read counts as gone after `STALLED_S`: it would hold the engine's slot for ever.
"""

from __future__ import annotations

import asyncio
from time import monotonic

from runtime.server.asgi import Receive
from runtime.server.sink import ClientSink

_LOOK_AFTER_S = 0.2  # most answers are quicker and never pay for a second task
STALLED_S = 60.0


class Presence:
    """A context around one answer; sets `sink.gone` before it cancels."""

    __slots__ = ("_handle", "_receive", "_sink", "_stalled_s", "_task", "_watcher")

    def __init__(self, receive: Receive, sink: ClientSink, stalled_s: float = STALLED_S) -> None:
        self._receive = receive
        self._sink = sink
        self._stalled_s = stalled_s
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> Presence:
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(loop)
        self._handle = loop.call_later(_LOOK_AFTER_S, self._look, loop)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watcher = loop.create_task(self._watch(), name="hearth: presence")

    async def _watch(self) -> None:
        sink = self._sink
        while True:
            try:
                async with asyncio.timeout(self._stalled_s / 4):
                    message = await self._receive()
            except TimeoutError:
                since = sink.writing_since
                if since is None or monotonic() - since < self._stalled_s:
                    continue
            else:
                if message["type"] != "http.disconnect":
                    continue
            break
        # After the last byte the server itself reports a disconnect: the answer was delivered.
        if not sink.complete and self._task is not None:
            sink.gone = True
            self._task.cancel()
