"""An operator ends a request that runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runtime.compose.report import running
from tests.fakes.door import Door, Setup, opened
from tests.fakes.upstream import Gate, Piece, Turn, engine_backend, told, whole

ADMIN = {"authorization": "Bearer root"}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_running_request_is_cancelled_with_a_record(tmp_path: Path, stream: bool) -> None:
    """Its client is told by whom, and not to ask again; the record and the audit log have it."""
    hold = asyncio.Event()
    held = engine_backend((Turn(told("late"), wait=hold),))  # type: ignore[arg-type]
    async with opened(Setup(held, admins=("root",)), tmp_path) as door:
        asking = asyncio.create_task(asked(door, stream))
        async with asyncio.timeout(10):
            while not door.desk.running:
                await asyncio.sleep(0.01)
        (id,) = door.desk.running
        ended = await door.client.post(f"/hearth/running/{id}/cancel", json={}, headers=ADMIN)
        assert ended.json() == {"id": id, "words": f"request {id} was cancelled"}
        status, text, retry = await asking
        assert "an operator cancelled this request" in text and (stream or (status, retry) == (403, "false"))
        shown = (await door.client.get(f"/hearth/decisions/{id}", headers=ADMIN)).json()
        assert shown["status"] == 403 and door.desk.running == {}
        again = await door.client.post(f"/hearth/running/{id}/cancel", json={}, headers=ADMIN)
        assert again.status_code == 404 and "it has ended" in again.text
        log = (await door.client.get("/hearth/audit", headers=ADMIN)).json()["data"]
        assert [each["body"]["words"] for each in log if each["kind"] == "change"] == [f"request {id} was cancelled"]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_tokens_of_a_running_request_are_seen_as_they_come(tmp_path: Path, stream: bool) -> None:
    """From the first content on; those of an answer that is not streamed are not known before its end."""
    gate = Gate()
    pieces: tuple[Piece, ...] = (*told("late")[:3], gate, *told("late")[3:]) if stream else (gate, whole("late"))
    async with opened(Setup(engine_backend((Turn(pieces),)), admins=("root",)), tmp_path) as door:
        asking = asyncio.create_task(asked(door, stream))
        async with asyncio.timeout(10):
            while not (rows := running(door.desk)) or (stream and rows[0].tokens != 2):
                await asyncio.sleep(0.01)
        assert (rows[0].phase, rows[0].tokens) == (("generating", 2) if stream else ("running", None))
        gate.open()
        assert (await asking)[0] == 200


async def asked(door: Door, stream: bool) -> tuple[int, str, str | None]:
    body = {"model": "local", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    answer = await door.client.post("/v1/chat/completions", json=body, headers=ADMIN)
    return answer.status_code, answer.text, answer.headers.get("x-should-retry")
