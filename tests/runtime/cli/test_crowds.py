"""A thousand clients that send byte by byte and five thousand silent ones, beside ordinary ones of a real `hearth serve`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.runtime.cli.test_serve import engine, served

__all__ = ["engine"]  # a fixture

SLOW, IDLE = (int(each) for each in os.environ.get("HEARTH_TEST_CROWD", "1000,5000").split(","))
ASKED = 2_000  # requests of a measurement
AT_ONCE = 8
CHAT = {"model": "local", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n"
SPARE_FILES = 500
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def files() -> Iterator[None]:
    """Room for the connections, here and in the server, which inherits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = SLOW + IDLE + SPARE_FILES
    if hard < wanted:
        pytest.skip(f"this test needs {wanted} open files, and may have {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def p99(port: int) -> float:
    """Seconds of ordinary requests, a few at a time."""
    times: list[float] = []

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:

        async def ask(number: int) -> None:
            for _ in range(number):
                began = time.perf_counter()
                answer = await client.post("/v1/chat/completions", json=CHAT)
                times.append(time.perf_counter() - began)
                assert answer.status_code == 200

        await ask(50)  # warm
        times.clear()
        await asyncio.gather(*(ask(ASKED // AT_ONCE) for _ in range(AT_ONCE)))
    return sorted(times)[int(0.99 * len(times))]


@contextlib.asynccontextmanager
async def crowd(port: int) -> AsyncIterator[list[Connection]]:
    """Connections that are held open. Of the slow ones half send their head, and half their body, a byte every second."""
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(IDLE)]
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(SLOW)]

    async def drip(number: int) -> None:
        writer = slow[number][1]
        with contextlib.suppress(OSError):
            if number % 2:
                writer.write(HEAD)
            for at in range(len(HEAD)):
                await asyncio.sleep(1.0)
                if writer.is_closing() or slow[number][0].at_eof():  # given up: another takes its place
                    slow[number] = await asyncio.open_connection("127.0.0.1", port)
                    writer = slow[number][1]
                    writer.write(HEAD if number % 2 else b"")
                writer.write(HEAD[at : at + 1])

    dripping = [asyncio.create_task(drip(number)) for number in range(SLOW)]
    try:
        yield held
    finally:
        for task in dripping:
            task.cancel()
        await asyncio.gather(*dripping, return_exceptions=True)
        for _, writer in (*held, *slow):
            writer.transport.abort()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("files")
def test_a_crowd_does_not_slow_the_others(tmp_path: Path, engine: str) -> None:
    """Their p99 stays within twice what it is without the crowd, measured before and after it in the same run."""
    room = str(2 * (SLOW + IDLE))  # half of it for idle ones

    async def measured(port: int) -> tuple[float, float, float]:
        before = await p99(port)
        async with crowd(port) as held:
            await asyncio.sleep(2.0)
            crowded = await p99(port)
            assert sum(not reader.at_eof() for reader, _ in held) > IDLE * 0.99
        return before, crowded, await p99(port)

    patient: dict[str, Any] = {"HEARTH_SERVER__HEAD_TIMEOUT": "600", "HEARTH_SERVER__BODY_TIMEOUT": "600"}
    with served(tmp_path, engine, HEARTH_SERVER__MAX_CONNECTIONS=room, **patient) as hearth:
        hearth.until("ready:")
        before, crowded, after = asyncio.run(measured(hearth.port))
        assert hearth.stop() == 0
    print(f"\np99 alone {before * 1e3:.1f} ms, crowded {crowded * 1e3:.1f} ms, alone again {after * 1e3:.1f} ms")
    assert crowded <= 2 * max(before, after)
