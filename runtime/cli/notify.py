"""The service manager's side of a process: ready, reloading, stopping, a status line and the watchdog (sd_notify).

systemd names a datagram socket in NOTIFY_SOCKET. Without one every call does nothing. A message that cannot be sent is
lost: the service manager then acts as on a process that does not answer, which is its business and not the runtime's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping

CHORE = "service manager"
_STATUS_S = 5.0  # between two looks at the status line
_STARTED_S = 0.05


class ServiceManager:
    """address: of the socket, None without a service manager. watchdog_s: it ends a process silent for so long."""

    def __init__(self, env: Mapping[str, str], pid: int) -> None:
        self.address = env.get("NOTIFY_SOCKET") or None
        watched = env.get("WATCHDOG_USEC", "").isdigit() and env.get("WATCHDOG_PID", str(pid)) == str(pid)
        self.watchdog_s = int(env["WATCHDOG_USEC"]) / 1e6 if watched else None

    def send(self, *lines: str) -> None:
        """One message of lines NAME=VALUE."""
        if self.address is None:
            return
        # "@" stands for the zero byte of a name that is no file.
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        ):
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(), address)

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """Around the reading of new settings, refused ones too: the process is ready again either way."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self.send("READY=1")

    async def keep(self, started: Callable[[], bool], status: Callable[[], str]) -> None:
        """Reports ready once `started`, then the status and the watchdog's sign of life, until cancelled.

        It runs in the event loop that serves, so that a loop that stands still is noticed.
        """
        while not started():  # noqa: ASYNC110 - the server has a flag and no event
            await asyncio.sleep(_STARTED_S)
        shown = status()
        self.send("READY=1", f"STATUS={shown}")
        pause = min(_STATUS_S, self.watchdog_s / 3) if self.watchdog_s else _STATUS_S
        while True:
            lines = ["WATCHDOG=1"] if self.watchdog_s else []
            if (now := status()) != shown:
                shown = now
                lines.append(f"STATUS={now}")
            if lines:
                self.send(*lines)
            await asyncio.sleep(pause)
