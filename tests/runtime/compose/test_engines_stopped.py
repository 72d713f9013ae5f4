"""Hearths as processes whose engine, a peer's engine or whose pool's balancer is killed, or stopped and goes on. Slow."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.engine_process import engine_process
from tests.runtime.cli.test_serve import Served, served
from tests.runtime.compose.test_fleet_frozen import TOKEN_S, TOKENS, Answer, ask
from tests.runtime.compose.test_fleet_killed import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
FIRST_TOKEN_S, SLACK_S = 15.0, 4.0  # the limit for a first token, which a silent engine is given
DOWN_S = 20.0
LEFT_S = 60.0  # until its breaker is open: five requests
KEY: Any = {"HEARTH_FLEET__KEY": "env:BETWEEN_US", "BETWEEN_US": "a-secret-of-the-fleet"}


def processes(port: int) -> tuple[int, int]:
    """The engine's front and core."""
    state = httpx.get(f"http://127.0.0.1:{port}/_fake/state", timeout=10).json()
    return state["front"], state["core"]


def signalled(pids: tuple[int, int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def engine() -> contextlib.AbstractContextManager[int]:
    return engine_process(tokens=TOKENS, token_s=TOKEN_S)


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1"


@contextlib.contextmanager
def pair(folder: Path) -> Iterator[tuple[Served, int]]:
    """`a` leaves its engine for every request, `b` takes what comes: a, and the port of the other engine."""
    with contextlib.ExitStack() as stack:
        own, theirs = stack.enter_context(engine()), stack.enter_context(engine())
        for name in "ab":
            (folder / name).mkdir()
        b = stack.enter_context(served(folder / "b", url(theirs), HEARTH_FLEET__NAME="b", **KEY))
        b.until("ready:")
        peers = json.dumps([f"http://127.0.0.1:{b.port}"])
        more: Any = {"HEARTH_FLEET__NAME": "a", "HEARTH_FLEET__PEERS": peers, "HEARTH_ESCALATION__QUEUE_DEPTH": "0"}
        a = stack.enter_context(served(folder / "a", url(own), **more, **KEY))
        a.until("ready:")
        until(lambda: a.get("/hearth/fleet")["peers"][0]["state"] == "alive")
        yield a, theirs


async def asked(hearth: Served, model: str, number: int = 3) -> list[Answer]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{hearth.port}", timeout=90) as http:
        return list(await asyncio.gather(*[ask(http, model) for _ in range(number)]))


def lane(hearth: Served) -> str:
    """The lane of the latest request's last attempt."""
    made: str = hearth.get("/hearth/decisions?limit=1")["data"][0]["attempts"][-1]["lane"]
    return made


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_engine_of_a_peer_is_gone(tmp_path: Path, number: signal.Signals) -> None:
    """Every request that the peer had taken is answered whole by the engine here, at the latest after the limit for a first
    token. After five the peer is left alone, and asked again once its engine answers.
    """
    with pair(tmp_path) as (a, theirs):
        assert all(each.whole for each in asyncio.run(asked(a, "auto")))
        assert lane(a).startswith("peer/")
        pids = processes(theirs)
        signalled(pids, number)
        gone = time.monotonic()
        answers = asyncio.run(asked(a, "auto"))
        assert all(each.whole for each in answers)
        limit = FIRST_TOKEN_S if number == signal.SIGSTOP else 0.0
        slowest = max(each.took for each in answers)
        assert slowest <= limit + TOKENS * TOKEN_S + SLACK_S
        while (latest := asyncio.run(asked(a, "auto", 1))[0]).took > TOKENS * TOKEN_S + SLACK_S:
            assert latest.whole and time.monotonic() - gone < LEFT_S
        print(f"{number.name}: slowest answer {slowest:.1f} s, left alone after {time.monotonic() - gone:.1f} s")
        if number == signal.SIGKILL:
            until(lambda: not a.get("/hearth/fleet")["peers"][0]["summary"]["ready"])
        else:
            signalled(pids, signal.SIGCONT)
            until(lambda: all(each.whole for each in asyncio.run(asked(a, "auto", 1))) and lane(a).startswith("peer/"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_balancer_of_a_pool_is_gone(tmp_path: Path, number: signal.Signals) -> None:
    """It is down within twenty seconds, and the cloud answers; it is used again once it goes on."""
    with engine() as balancer, engine() as cloud:
        target: Any = {
            "HEARTH_ENGINE__KIND": "pool",
            "HEARTH_ENGINE__MODEL": "m",
            "HEARTH_TARGETS__PAID__PROVIDER": "openai",
            "HEARTH_TARGETS__PAID__MODEL": "m",
            "HEARTH_TARGETS__PAID__BASE_URL": url(cloud),
            "HEARTH_TARGETS__PAID__PRICE": json.dumps({"input": 1.0, "output": 1.0}),
        }
        with served(tmp_path, url(balancer), **target) as hearth:
            hearth.until("ready:")

            def state() -> str:
                found: str = hearth.get("/hearth/status")["engine"]["replicas"][0]["state"]
                return found

            assert all(each.whole for each in asyncio.run(asked(hearth, "auto")))
            pids = processes(balancer)
            signalled(pids, number)
            gone = time.monotonic()
            answers = asyncio.run(asked(hearth, "auto"))
            assert all(each.whole for each in answers)
            assert max(each.took for each in answers) <= FIRST_TOKEN_S + TOKENS * TOKEN_S + SLACK_S
            until(lambda: state() != "ready")
            down_s = time.monotonic() - gone
            print(
                f"{number.name}: slowest answer {max(each.took for each in answers):.1f} s, down after {down_s:.1f} s"
            )
            assert down_s <= DOWN_S
            quick = asyncio.run(asked(hearth, "auto"))
            assert all(each.whole and each.took <= TOKENS * TOKEN_S + SLACK_S for each in quick)
            if number == signal.SIGSTOP:
                signalled(pids, signal.SIGCONT)
                until(lambda: state() == "ready")
                assert all(each.whole for each in asyncio.run(asked(hearth, "local")))
