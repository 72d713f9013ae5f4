"""A short-lived child process run to its end: output collected, and its whole group ended when the caller is cancelled.

Knows nothing of what it runs. The engine itself is not run through this module: it outlives a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

_KEPT = 64 * 1024  # bytes of output kept: the end, where the cause is


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a child. output: the last of stdout and stderr together, as text."""

    code: int
    output: str

    @property
    def last_words(self) -> str:
        """The last lines that say something, for an error message."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return "\n".join(lines[-5:])


class RunCommand(Protocol):
    """Runs a command to its end. Its fake is a function."""

    def __call__(self, command: Sequence[str], environ: Mapping[str, str]) -> Awaitable[Finished]: ...


async def run(command: Sequence[str], environ: Mapping[str, str]) -> Finished:
    """Runs `command` in a session of its own. Raises OSError where it cannot be started."""
    child = await asyncio.create_subprocess_exec(
        *command,
        env=dict(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output = await tail_of(child.stdout)
        return Finished(await child.wait(), output)
    finally:
        await kill_group(child)


async def tail_of(stream: asyncio.StreamReader | None, at_most: int = _KEPT) -> str:
    """Reads an output to its end and keeps the last `at_most` bytes, as text."""
    assert stream is not None
    kept = b""
    while chunk := await stream.read(8192):
        kept = (kept + chunk)[-at_most:]
    return kept.decode("utf-8", "replace").replace("\r", "\n")


async def kill_group(child: asyncio.subprocess.Process) -> None:
    """SIGKILL to the child's session, unless the child has ended. Returns when it is reaped."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()
