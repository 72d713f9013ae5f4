"""Three Hearths as processes, all attached to the same engine, on one real store. Slow."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.valkey_server import ValkeyServer, valkey_server
from tests.runtime.cli.test_serve import Served, served
from tests.runtime.compose.test_fleet_killed import stand_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LONG_S = 60.0
GONE_S = 3.0 + 1.5  # three seconds, and what a look and a busy machine add
SEEN_S = 0.3 + 0.3


def until(holds: Callable[[], Any]) -> float:
    """Seconds until something holds."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < LONG_S, "it never held"
        time.sleep(0.01)
    return time.monotonic() - began


def attached(hearth: Served) -> dict[str, Any]:
    found: dict[str, Any] = hearth.get("/hearth/fleet")["attached"][0]
    return found


@contextlib.contextmanager
def asked(hearth: Served) -> Iterator[None]:
    """A long answer under way."""
    body = {"model": "local", "stream": True, "max_tokens": 400, "messages": [{"role": "user", "content": "hi " * 200}]}
    call = urllib.request.Request(
        f"http://127.0.0.1:{hearth.port}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )

    def read() -> None:
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            urllib.request.urlopen(call, timeout=LONG_S) as answer,
        ):
            answer.read()

    client = threading.Thread(target=read)
    client.start()
    try:
        yield
    finally:
        client.join(LONG_S)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[tuple[list[Served], ValkeyServer]]:
    (tmp_path / "store").mkdir()
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(valkey_server(tmp_path / "store"))
        engine = f"http://127.0.0.1:{stack.enter_context(stand_in(tokens=400))}/v1"
        found = []
        for name in "abc":
            (tmp_path / name).mkdir()
            env: Any = {"HEARTH_FLEET__STORE": store.url, "HEARTH_FLEET__NAME": name}
            found.append(stack.enter_context(served(tmp_path / name, engine, **env)))
        for each in found:
            each.until("ready:")
        until(lambda: all(attached(each)["hearths"] == 3 for each in found))
        yield found, store


def test_the_requests_of_one_are_seen_and_gone_with_it(three: tuple[list[Served], ValkeyServer]) -> None:
    """By status, metrics and predictions of the others; then the store is gone, and each counts for all."""
    (a, b, c), store = three
    with asked(a):
        seen = until(lambda: attached(b)["running"] == attached(c)["running"] == 1)
        assert attached(b)["names"] == ["a", "c"] and attached(b)["age_s"] < GONE_S
        with urllib.request.urlopen(f"http://127.0.0.1:{b.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        assert 'hearth_fleet_others_in_flight{replica="replica-0",state="running"} 1.0' in text
        assert 'hearth_fleet_hearths{replica="replica-0"} 3.0' in text
        a.process.send_signal(signal.SIGKILL)
        gone = until(lambda: attached(b)["running"] == 0 and attached(b)["hearths"] == 2)
    store.kill()
    assumed = until(lambda: attached(b)["assumed"])
    assert attached(b)["hearths"] == 2
    store.start(empty=True)
    back = until(lambda: not attached(b)["assumed"])
    print(f"seen after {seen:.2f} s, gone after {gone:.2f} s, assumed after {assumed:.2f} s, back after {back:.2f} s")
    assert seen <= SEEN_S and gone <= GONE_S and assumed <= GONE_S
