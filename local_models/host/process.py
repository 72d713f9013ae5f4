"""One long-lived child process in a session of its own: started, listened to, signalled as a group, waited for.

Linux. Knows nothing of what it runs. The child's end is seen through its pidfd and not through its pipe: grandchildren
that outlive it hold the pipe open. Descendants that left the group are found by their marker (`orphans.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

_READ = 64 * 1024


class Child(Protocol):
    """A started process, as its supervisor sees it."""

    @property
    def pid(self) -> int:
        """Also the id of its session and of its group."""
        ...

    @property
    def returncode(self) -> int | None:
        """Exit code, or minus the signal; None while it runs."""
        ...

    async def wait(self) -> int: ...

    def signal(self, number: int) -> None:
        """To the process alone. Nothing where it is gone."""
        ...

    def signal_group(self, number: int) -> None:
        """To every process of the group, also after the leader is gone. Nothing where none is left."""
        ...

    def close(self) -> None:
        """Stops listening. The process is not touched."""
        ...


class Spawn(Protocol):
    """Starts a process; `output` gets its stdout and stderr as they come. Raises OSError where it cannot be started."""

    def __call__(self, argv: Sequence[str], environ: Mapping[str, str], output: Callable[[bytes], None]) -> Child: ...


class Process:
    """A real child process. To be made in a running event loop."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], output: Callable[[bytes], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._output = output
        self._pipe, write_end = os.pipe()
        try:
            self._popen = subprocess.Popen(
                list(argv),
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(write_end)
        self._exited: asyncio.Future[int] = self._loop.create_future()
        self._pidfd = os.pidfd_open(self._popen.pid)
        os.set_blocking(self._pipe, False)
        self._loop.add_reader(self._pipe, self._read)
        self._loop.add_reader(self._pidfd, self._reap)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        return self._popen.returncode

    async def wait(self) -> int:
        return await asyncio.shield(self._exited)

    def signal(self, number: int) -> None:
        if self._popen.returncode is None:  # not reaped: the pid is still its own
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def close(self) -> None:
        if self._pipe >= 0:
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = -1

    def _read(self) -> None:
        try:
            data = os.read(self._pipe, _READ)
        except BlockingIOError:
            return
        if data:
            self._output(data)
        else:
            self.close()

    def _reap(self) -> None:
        code = self._popen.poll()
        if code is None:
            return
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._drain()
        if not self._exited.done():
            self._exited.set_result(code)

    def _drain(self) -> None:
        """Its last words are in the pipe: they tell the cause, so they come before the news of its end."""
        for _ in range(64):
            before = self._pipe
            if before < 0:
                return
            try:
                data = os.read(before, _READ)
            except BlockingIOError:
                return
            if not data:
                return
            self._output(data)


def spawn(argv: Sequence[str], environ: Mapping[str, str], output: Callable[[bytes], None]) -> Child:
    return Process(argv, environ, output)


KILL = signal.SIGKILL
TERM = signal.SIGTERM
