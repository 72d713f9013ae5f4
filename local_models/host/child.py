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
    """How a child ended. output: the last of stdout and stderr together, as text."""

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
        output = await _tail(child)
        return Finished(await child.wait(), output)
    finally:
        if child.returncode is None:
            await _end(child)


async def _tail(child: asyncio.subprocess.Process) -> str:
    kept = b""
    assert child.stdout is not None
    while chunk := await child.stdout.read(8192):
        kept = (kept + chunk)[-_KEPT:]
    return kept.decode("utf-8", "replace").replace("\r", "\n")


async def _end(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.wait()
