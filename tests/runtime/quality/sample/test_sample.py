"""The sample of answers: what is kept, redacted and bounded, what never is, and what is forgotten."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.quality.sample.file import FILE
from runtime.quality.sample.sample import MOST_BYTES, Sample
from runtime.settings import Escalation, SampleSettings
from tests.fakes.door import Door, Setup, opened
from tests.fakes.upstream import CUT, ROLE, Turn, chunk, engine_backend, error, told, whole

ALL = SampleSettings(keep=True, share=1.0)
PRIVATE = "I am anna@example.com, card 4111 1111 1111 1111, key sk-0123456789abcdefghij"


@asynccontextmanager
async def sampled(folder: Path, *turns: Turn, settings: SampleSettings = ALL) -> AsyncIterator[tuple[Door, Sample]]:
    """A door whose answers are sampled."""
    now = [1_000_000.0]
    sample = Sample(folder, settings, lambda: now[0])
    async with opened(Setup(engine_backend(turns), [], Escalation()), folder) as door:
        door.desk.sample = sample
        yield door, sample


def body(text: str = "hi", **more: object) -> dict[str, Any]:
    return {"model": "auto", "messages": [{"role": "user", "content": text}], **more}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_and_its_answer_are_kept_without_what_names_people(tmp_path: Path, stream: bool) -> None:
    """Addresses, numbers with the right check digit and keys are replaced; whose request it was is not kept."""
    answer = "Dear anna@example.com, no."
    turn = Turn(told(answer)) if stream else Turn([whole(answer)])
    async with sampled(tmp_path, turn) as (door, sample):
        given = body(PRIVATE, stream=stream, user="u-1", metadata={"name": "Anna"}, hearth={"session": "anna"})
        made = await door.client.post("/v1/chat/completions", json=given)
        sample.close()
        (row,) = sample.rows()
    text = "I am [mail], card [card], key [secret]"
    assert row.body == {"model": "auto", "messages": [{"role": "user", "content": text}], "stream": stream}
    assert (row.text, row.tools, row.wire, row.target) == ("Dear [mail], no.", (), "openai_chat", "local/small")
    assert row.id == made.headers["x-hearth-decision"] and sample.trouble is None
    path = tmp_path / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"anna" not in path.read_bytes() and b"4111" not in path.read_bytes()


@pytest.mark.parametrize(
    ("given", "turn"),
    [
        (body(hearth={"requires": ["hipaa"]}), Turn([whole("no")])),
        (body(hearth={"sample": False}), Turn([whole("no")])),
        (body("x" * MOST_BYTES), Turn([whole("no")])),
        (body(), Turn([whole("x" * (MOST_BYTES + 1))])),
        (body(), error(400)),
        (body(stream=True), Turn([ROLE, chunk("ha"), CUT])),
    ],
    ids=["requires", "the hint", "long prompt", "long answer", "failed", "cut"],
)
async def test_what_is_never_kept(tmp_path: Path, given: dict[str, Any], turn: Turn) -> None:
    """No file is even begun."""
    async with sampled(tmp_path, turn) as (door, sample):
        await door.client.post("/v1/chat/completions", json=given)
        sample.close()
        assert sample.rows() == [] and not (tmp_path / FILE).exists()


async def test_the_share_is_kept(tmp_path: Path) -> None:
    """By the id of the request, so that the same one is chosen again; none with a share of 0."""
    for share, least, most in ((0.0, 0, 0), (0.5, 5, 35)):
        settings = SampleSettings(keep=True, share=share)
        async with sampled(tmp_path, *[Turn([whole("yes")])] * 40, settings=settings) as (door, sample):
            for _ in range(40):
                await door.client.post("/v1/chat/completions", json=body())
            sample.close()
            assert least <= len(sample.rows()) <= most


async def test_the_newest_stay_and_old_ones_go(tmp_path: Path) -> None:
    """By number as they come, by days with the chore, also once the sample is off."""
    async with sampled(tmp_path, *[Turn([whole("yes")])] * 5) as (door, sample):
        sample.settings = SampleSettings(keep=True, share=1.0, max=3, days=2)
        ids = [
            (await door.client.post("/v1/chat/completions", json=body())).headers["x-hearth-decision"] for _ in range(5)
        ]
        sample.close()
        rows = sample.rows()
    assert sorted(row.id for row in rows) == ids[2:]
    later = Sample(tmp_path, SampleSettings(days=2), lambda: rows[1].at + 2 * 86_400)
    later.trim()
    assert [row.id for row in later.rows()] == [row.id for row in rows if row.at >= rows[1].at]


async def test_what_is_forgotten_is_not_in_the_file(tmp_path: Path) -> None:
    """One answer, or all; the bytes are overwritten."""
    turns = [Turn([whole(f"the answer number {number}")]) for number in range(3)]
    async with sampled(tmp_path, *turns) as (door, sample):
        for _ in turns:
            await door.client.post("/v1/chat/completions", json=body())
        sample.close()
        first = sample.rows()[0]
        assert first.text.encode() in (tmp_path / FILE).read_bytes()
        assert (sample.forget(first.id), sample.forget(first.id), sample.forget("dec_none")) == (1, 0, 0)
        assert len(sample.rows()) == 2 and first.text.encode() not in (tmp_path / FILE).read_bytes()
        assert (sample.forget(), sample.rows()) == (2, [])
        assert b"the answer" not in (tmp_path / FILE).read_bytes()


def holding(folder: Path, secret: str) -> set[str]:
    """The files of the state folder that have a text in them."""
    return {each.name for each in folder.rglob("*") if each.is_file() and secret.encode() in each.read_bytes()}


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_a_planted_secret_is_in_the_sample_alone(keep: bool, path: str, tmp_path: Path) -> None:
    """Of a prompt and its answer: in no file without the sample, in its file with it, and in none once forgotten or too old."""
    asked, said = "the vault is behind zebra 4417", "then look behind heron 2206"
    async with sampled(tmp_path, *[Turn([whole(said)])] * 2) as (door, sample):
        door.desk.sample = sample if keep else None
        for _ in range(2):
            made = await door.client.post(path, json={**body(asked), "max_tokens": 50})
            assert said in made.text
        sample.close()
    for secret in (asked, said):
        assert await asyncio.to_thread(holding, tmp_path, secret) == ({FILE} if keep else set())
    if keep:
        sample.forget(sample.rows()[0].id)
        Sample(tmp_path, SampleSettings(days=2), lambda: time.time() + 2 * 86_400).trim()
        assert await asyncio.to_thread(holding, tmp_path, asked) == set()


async def test_a_fault_of_the_file_costs_the_sample_alone(tmp_path: Path) -> None:
    """A damaged file is deleted: it may be lost, and must not outlive its days."""
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    said: list[str] = []
    async with sampled(tmp_path, *[Turn([whole("yes")])] * 2) as (door, sample):
        sample._notice = said.append
        for _ in range(2):
            assert (await door.client.post("/v1/chat/completions", json=body())).status_code == 200
        sample.close()
        assert len(said) == 1 and "sample of answers cannot be kept" in said[0]
        assert len(sample.rows()) == 1 and sample.trouble is None
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        sample.rows()
    assert sample.rows() == []
