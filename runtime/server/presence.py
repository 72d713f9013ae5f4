"""Whether the client is still there: its going away cancels the request's task, streaming or not, within a second."""

from __future__ import annotations

import asyncio

from runtime.server.asgi import Receive

_LOOK_AFTER_S = 0.2  # most answers are quicker and never pay for a second task


class Presence:
    """A context around one answer. `gone` tells a client's cancellation from the server's own."""

    __slots__ = ("_handle", "_receive", "_task", "_watcher", "gone")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watcher: asyncio.Task[None] | None = None
        self.gone = False

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
        self._watcher = loop.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._task is not None:
            self._task.cancel()
