"""Processes under measurement: started in a session of their own, their CPU time and memory read, ended whole."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import psutil

ROOT = Path(__file__).resolve().parents[2]
_MIB = 1 << 20


class NeverReadyError(Exception):
    """It ended, or did not answer in time. The message holds the end of its log."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Running:
    """One process with all its descendants, its output in `log`. A context: leaving it ends them all."""

    def __init__(
        self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT
    ) -> None:
        self.log = log
        self.started = time.perf_counter()
        with log.open("wb") as out:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    def __enter__(self) -> Running:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return self._child.pid

    def end(self, grace_s: float = 10.0) -> None:
        """TERM, and after the grace KILL to its whole process group."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(grace_s)

    def tree(self) -> list[psutil.Process]:
        root = psutil.Process(self._child.pid)
        return [root, *root.children(recursive=True)]

    def cpu_s(self) -> float:
        """User and system seconds of all of them so far, ended children included."""
        total = 0.0
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])
        return total

    def rss_mib(self) -> float:
        total = 0.0
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss / _MIB
        return total

    def first_answer(self, url: str, body: bytes, within_s: float = 120.0, key: str = "") -> float:
        """Seconds from its start to its first good answer. Raises NeverReadyError."""
        headers = {"content-type": "application/json", **({"x-api-key": key} if key else {})}
        call = urllib.request.Request(url, body, headers)
        while time.perf_counter() - self.started < within_s and self._child.poll() is None:
            try:
                with urllib.request.urlopen(call, timeout=within_s) as answer:
                    answer.read()
                    return time.perf_counter() - self.started
            except (urllib.error.URLError, OSError):
                time.sleep(0.02)
        raise NeverReadyError(f"no answer from {url}\n{self.log.read_text(errors='replace')[-3000:]}")
