"""What a service manager is told, and when: through a real datagram socket, by a real `hearth serve`."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.cli.notify import ServiceManager
from tests.runtime.cli.test_serve import engine, served  # noqa: F401 - engine is a fixture


class Manager:
    """The service manager's end of the socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(60)

    def message(self) -> dict[str, str]:
        lines = self.socket.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def until(self, name: str) -> list[dict[str, str]]:
        """The messages up to the one that has the name."""
        seen = [self.message()]
        while name not in seen[-1]:
            seen.append(self.message())
        return seen


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.socket.close()


def test_a_whole_life(manager: Manager, tmp_path: Path, engine: str) -> None:  # noqa: F811
    """Ready once it serves, alive, reloading and ready again, stopping; each in its place."""
    state = tmp_path / "state"
    state.mkdir()
    with served(state, engine, NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="600000") as hearth:
        ready = manager.message()
        assert ready["READY"] == "1"
        assert hearth.get("/health/live")["status"] == "live"
        assert "requests in flight" in ready["STATUS"]
        manager.until("WATCHDOG")
        hearth.process.send_signal(signal.SIGHUP)
        reloading = manager.until("RELOADING")[-1]
        assert int(reloading["MONOTONIC_USEC"]) > 0
        manager.until("READY")
        hearth.process.send_signal(signal.SIGTERM)
        stopping = manager.until("STOPPING")[-1]
        assert stopping["STATUS"].startswith("draining")
        assert hearth.process.wait(30) == 0


def test_without_a_service_manager_nothing_is_sent(manager: Manager) -> None:
    """And a socket that has gone costs nothing."""
    ServiceManager({}, 1).send("READY=1")
    ServiceManager({"NOTIFY_SOCKET": str(manager.path) + "-gone"}, 1).send("READY=1")
    with pytest.raises(BlockingIOError):
        manager.socket.setblocking(False)
        manager.message()


def test_a_name_that_is_no_file() -> None:
    """systemd may give an abstract one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0hearth-test-notify")
        listener.settimeout(10)
        ServiceManager({"NOTIFY_SOCKET": "@hearth-test-notify"}, 1).send("READY=1", "STATUS=up")
        assert listener.recv(100) == b"READY=1\nSTATUS=up"


@pytest.mark.parametrize(
    ("env", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_for_this_process(env: dict[str, str], seconds: float | None) -> None:
    """A variable meant for another process is not obeyed."""
    assert ServiceManager(env, 7).watchdog_s == seconds


async def test_a_loop_that_stands_still_sends_nothing(manager: Manager) -> None:
    """The sign of life comes from the loop, so that the watchdog sees what users would see."""
    told = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "300000"}
    keeping = asyncio.create_task(ServiceManager(told, 1).keep(lambda: True, lambda: "up"))
    await asyncio.to_thread(manager.until, "WATCHDOG")
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            manager.message()
    time.sleep(0.5)  # noqa: ASYNC251 - the loop stands still
    with pytest.raises(BlockingIOError):
        manager.message()
    keeping.cancel()


async def test_a_changed_status_is_sent_once(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with every sign of life."""
    monkeypatch.setattr("runtime.cli.notify._STATUS_S", 0.01)
    words = iter(["one", "one", "two"])
    told = {"NOTIFY_SOCKET": str(manager.path)}
    keeping = asyncio.create_task(ServiceManager(told, 1).keep(lambda: True, lambda: next(words, "two")))
    seen = [(await asyncio.to_thread(manager.message))["STATUS"] for _ in range(2)]
    await asyncio.sleep(0.1)
    keeping.cancel()
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.message()
    assert seen == ["one", "two"]
