"""Notices: who gives one never waits, each receiver gets it within its time or it is dropped and named."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from runtime.contract.guard import Cargo, DepartureRefused, Guard, Receiver, Way
from runtime.notices import MOST, Notices
from runtime.settings import NoticeSettings
from runtime.settings.secret import Secret
from tests.fakes.guard import OpenGuard

NOON = 1_795_953_600.0


class Closed:
    """A guard that lets nothing out."""

    def check(self, cargo: Cargo | None, to: Receiver) -> None:
        assert cargo == Cargo(Way.NOTICE)
        raise DepartureRefused(f"nothing goes to {to.origin}")


async def pauses(_: float) -> None:
    """No pause between two tries."""


@contextlib.asynccontextmanager
async def webhook(*answers: str | None) -> AsyncIterator[tuple[str, list[tuple[str, Any]]]]:
    """A server on loopback: its URL, and the head and body of each request. None: it never answers."""
    seen: list[tuple[str, Any]] = []
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = int(next(line for line in head.lower().splitlines() if "content-length" in line).split(":")[1])
        seen.append((head, json.loads(await reader.readexactly(size))))
        answer = left.pop(0)
        if answer is not None:
            writer.write(f"HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode())
        else:
            await reader.read()  # until the client hangs up
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?a=b", seen


def notices(settings: NoticeSettings, guard: Guard | None = None) -> Notices:
    return Notices(settings, guard or OpenGuard(), lambda: NOON, {**os.environ, "OPENAI_API_KEY": "secret"}, pauses)


async def sent(of: Notices) -> None:
    """Runs until every notice was taken or dropped."""
    task = asyncio.create_task(of.run())
    await of.idle.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_webhook_gets_each_notice_with_its_key() -> None:
    """In order, as JSON whose `text` chat systems show; the query of the URL belongs to it."""
    async with webhook("200 OK", "204 No Content") as (url, seen):
        of = notices(NoticeSettings(url=url, key=Secret("env:K", "k3y")))
        of.give("budget_spent", "all is spent")
        of.give("engine_given_up", "r0 was given up")
        await sent(of)
    assert [body for _, body in seen] == [
        {"kind": "budget_spent", "text": "all is spent", "at": NOON},
        {"kind": "engine_given_up", "text": "r0 was given up", "at": NOON},
    ]
    assert seen[0][0].startswith("POST /hook?a=b ") and "authorization: bearer k3y" in seen[0][0].lower()
    assert of.trouble is None and of.lost == 0


async def test_a_refused_notice_is_tried_three_times_and_then_named() -> None:
    """The trouble names the status and no address; the next notice that is taken ends it."""
    async with webhook("500 Oh", "302 Found", "500 Oh", "200 OK") as (url, seen):
        of = notices(NoticeSettings(url=url))
        of.give("budget_spent", "one")
        await sent(of)
        assert (of.trouble, of.lost, len(seen)) == ("the webhook answers 500", 1, 3)
        of.give("budget_spent", "two")
        await sent(of)
    assert of.trouble is None and seen[3][1]["text"] == "two"


async def test_a_webhook_that_never_answers_is_given_up() -> None:
    """Each try ends with the time-out, and with its connection."""
    async with webhook(None, None, None) as (url, seen):
        of = notices(NoticeSettings(url=url, timeout=0.3))
        of.give("budget_spent", "one")
        await sent(of)
    assert of.trouble == "the webhook did not answer within 0.3 s" and len(seen) == 3


async def test_a_webhook_that_is_not_there_is_named_without_its_address() -> None:
    """A path of a webhook is often its secret."""
    of = notices(NoticeSettings(url="http://127.0.0.1:9/secret-path"))
    of.give("budget_spent", "one")
    await sent(of)
    assert of.trouble == "the webhook cannot be reached (ConnectError)"


async def test_the_guard_sees_a_notice_leave() -> None:
    """What it refuses is not sent."""
    async with webhook() as (url, seen):
        of = notices(NoticeSettings(url=url), Closed())
        of.give("budget_spent", "one")
        await sent(of)
    assert not seen and of.trouble is not None and of.trouble.startswith("nothing goes to http://127.0.0.1")


async def test_a_command_gets_the_notice_and_no_key(tmp_path: Path) -> None:
    """On its input, with an environment that holds no secret of this process."""
    out = tmp_path / "out"
    of = notices(NoticeSettings(command=("sh", "-c", f'cat >{out}; env >>{out}; [ -n "$PATH" ]')))
    of.give("budget_spent", "all is spent")
    await sent(of)
    assert out.read_text().startswith('{"kind":"budget_spent","text":"all is spent"')
    assert "secret" not in out.read_text() and of.trouble is None


async def test_a_command_that_hangs_or_fails_is_named() -> None:
    """It is ended with all it started; one that is not there is named too."""
    of = notices(NoticeSettings(command=("sh", "-c", "sleep 600 & sleep 600"), timeout=0.05))
    of.give("budget_spent", "one")
    await sent(of)
    assert of.trouble == "the command did not end within 0.05 s"
    of.settings = NoticeSettings(command=("false",))
    of.give("budget_spent", "one")
    await sent(of)
    assert of.trouble == "the command ended with 1"
    of.settings = NoticeSettings(command=("/no/such/program",))
    of.give("budget_spent", "one")
    await sent(of)
    assert of.trouble is not None and of.trouble.startswith("the command cannot be run")


async def test_giving_never_waits_and_the_queue_is_bounded() -> None:
    """The oldest give way and are counted; without a receiver nothing is kept."""
    of = notices(NoticeSettings())
    of.give("budget_spent", "one")
    assert not of._waiting
    of.settings = NoticeSettings(command=("true",))
    for number in range(3 * MOST):
        of.give("budget_spent", str(number))
    assert len(of._waiting) == MOST and of.lost == 2 * MOST and of._waiting[0].text == str(2 * MOST)
