"""A newer price list: fetched through the guard, taken whole or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from genai_prices.data_snapshot import set_custom_snapshot

from cloud import prices, snapshot
from runtime.contract.guard import Cargo, DepartureRefused, Receiver, Way
from tests.fakes.guard import OpenGuard

MODEL = {"id": "gpt-6-luna", "match": {"equals": "gpt-6-luna"}, "prices": {"input_mtok": 7, "output_mtok": 9}}
LIST = json.dumps([{"id": "openai", "name": "OpenAI", "api_pattern": "x", "models": [MODEL]}]).encode()


class Refusing:
    """A guard that lets nothing pass."""

    def check(self, cargo: Cargo | None, to: Receiver) -> None:
        raise DepartureRefused("not today")


@pytest.fixture(autouse=True)
def shipped() -> Iterator[None]:
    """The list of the installed release is in force before and after."""
    set_custom_snapshot(None)
    yield
    set_custom_snapshot(None)


@asynccontextmanager
async def serving(body: bytes, status: int = 200) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server of one body. Yields its address and what was asked."""
    asked: list[bytes] = []
    idle = asyncio.Event()
    idle.set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        idle.clear()
        asked.append(await reader.read(4096))
        head = f"HTTP/1.1 {status} OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        idle.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/data.json", asked
        await idle.wait()


async def test_a_newer_list_is_taken_with_its_day() -> None:
    """The guard is shown where it comes from; no request's data is in it; the table still goes before it."""
    guard, table = OpenGuard(), prices.price("deepseek", "deepseek-flash")
    async with serving(LIST) as (url, asked):
        day = await snapshot.update(guard, url)
    found = prices.price("openai", "gpt-6-luna")
    assert found is not None and (found.input, found.output) == (7, 9)
    assert day == found.date == datetime.now(UTC).date().isoformat()
    assert guard.shown == [(Cargo(Way.PRICES), Receiver("127.0.0.1", url.removesuffix("/data.json")))]
    assert len(asked) == 1 and prices.price("deepseek", "deepseek-flash") == table


async def test_a_refused_update_opens_no_connection() -> None:
    """The prices stay."""
    before = prices.price("openai", "gpt-6-luna")
    async with serving(LIST) as (url, asked):
        with pytest.raises(DepartureRefused):
            await snapshot.update(Refusing(), url)
    assert not asked and prices.price("openai", "gpt-6-luna") == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (LIST, 503),
        (b"<html>", 200),
        (b"{}", 200),
        (b"[]", 200),
        (LIST.replace(b'"models"', b'"modles"'), 200),
        (b'[{"id": "openai"', 200),
        (b"", 302),
    ],
)
async def test_a_list_that_cannot_be_used_changes_nothing(body: bytes, status: int) -> None:
    """An error, another kind of document, an empty or a cut list."""
    before = prices.price("openai", "gpt-6-luna")
    async with serving(body, status) as (url, _):
        with pytest.raises((ValueError, httpx.HTTPError, KeyError)):
            await snapshot.update(OpenGuard(), url)
    assert prices.price("openai", "gpt-6-luna") == before is not None


@pytest.mark.parametrize(("bound", "error"), [({"most": len(LIST) - 1}, ValueError), ({"within_s": 0.0}, TimeoutError)])
async def test_a_list_has_a_bound(bound: dict[str, Any], error: type[Exception]) -> None:
    """In bytes and in time."""
    async with serving(LIST) as (url, _):
        with pytest.raises(error):
            await snapshot.update(OpenGuard(), url, **bound)
