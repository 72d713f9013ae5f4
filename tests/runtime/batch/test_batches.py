"""Files and batches through the door, asked for by the vendors' own SDKs."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anthropic
import httpx
import msgspec
import openai
import pytest

from runtime.contract.prices import Price
from runtime.dialects.seam import Dialect
from runtime.money.budget import ALL, BudgetLedger, SpendingLimits
from runtime.money.spent_file import SpentFile
from runtime.server.hosts_and_origins import Proxies
from runtime.settings import BatchSettings
from runtime.wire.raw_body import RawBody
from tests.fakes.door import Door, Setup, opened
from tests.fakes.upstream import Gate, Turn, cloud, engine_backend, error, told, whole

CHAT: Any = "/v1/chat/completions"
SDK = openai.AsyncOpenAI


def line(custom_id: str, text: str = "hi", *, url: str = CHAT, **more: Any) -> str:
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], **more}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": url, "body": body})


async def begun(sdk: SDK, lines: Sequence[str], **more: Any) -> str:
    """The id of a batch of these lines."""
    file = await sdk.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
    batch = await sdk.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h", **more)
    return batch.id


async def ended(sdk: SDK, id: str) -> Any:
    async with asyncio.timeout(20):
        while True:
            batch = await sdk.batches.retrieve(id)
            if batch.status in ("completed", "failed", "expired", "cancelled"):
                return batch
            await asyncio.sleep(0.02)


async def lines_of(sdk: SDK, file_id: str | None) -> list[dict[str, Any]]:
    if file_id is None:
        return []
    return [json.loads(each) for each in (await sdk.files.content(file_id)).text.splitlines()]


def sdk_of(door: Door, key: str = "none") -> SDK:
    return openai.AsyncOpenAI(base_url=f"{door.url}/v1", api_key=key, max_retries=0)


async def test_a_batch_runs_to_its_end(tmp_path: Path) -> None:
    """Every line is answered once, in the order of the file; the counts, stamps and metadata are there."""
    answer = json.dumps(json.loads(whole("fine")) | {"model": "small-id"}).encode()
    async with opened(Setup(engine_backend((Turn([answer]),))), tmp_path) as door, sdk_of(door) as sdk:
        id = await begun(sdk, [line(f"q{n}") for n in range(25)], metadata={"run": "7"})
        batch = await ended(sdk, id)
        assert (batch.status, batch.request_counts.total, batch.request_counts.completed) == ("completed", 25, 25)
        assert batch.completed_at >= batch.in_progress_at >= batch.created_at and batch.metadata == {"run": "7"}
        rows = await lines_of(sdk, batch.output_file_id)
        assert [row["custom_id"] for row in rows] == [f"q{n}" for n in range(25)]
        assert all(row["response"]["body"]["choices"][0]["message"]["content"] == "fine" for row in rows)
        assert (batch.error_file_id, batch.model) == (None, "small-id")
        assert (batch.usage.input_tokens, batch.usage.output_tokens, batch.usage.total_tokens) == (175, 50, 225)
        assert [each.id for each in (await sdk.batches.list()).data] == [id]
        decision = (await door.client.get(f"/hearth/decisions/{rows[0]['response']['request_id']}")).json()
        assert (decision["target"], decision["status"]) == ("local/small", 200)


async def test_faulty_lines_fail_the_batch_before_anything_runs(tmp_path: Path) -> None:
    """Each fault is named with its line; the engine was never asked."""
    backend = engine_backend((Turn([whole("fine")]),))
    lines = [line("a"), line("a"), "{", line("b", url="/v1/embeddings"), json.dumps({"custom_id": "c"}), "[1]"]
    async with opened(Setup(backend), tmp_path) as door, sdk_of(door) as sdk:
        batch = await ended(sdk, await begun(sdk, lines))
        assert batch.status == "failed" and batch.errors is not None
        assert [(each.line, each.code) for each in batch.errors.data or []] == [
            (2, "duplicate_custom_id"),
            (3, "invalid_json_line"),
            (4, "mismatched_endpoint"),
            (5, "invalid_json_line"),
            (6, "invalid_json_line"),
        ]
        assert backend.lanes[0].hop.calls == []


@pytest.mark.parametrize(("content", "code"), [(b"", "empty_file"), (b"\n \n", "empty_file")])
async def test_a_file_without_requests_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    """Blank lines are no requests."""
    async with opened(Setup(engine_backend((Turn([whole("x")]),))), tmp_path) as door, sdk_of(door) as sdk:
        file = await sdk.files.create(file=("in.jsonl", content), purpose="batch")
        batch = await sdk.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        found = (await ended(sdk, batch.id)).errors
        assert found is not None and [each.code for each in found.data or []] == [code]


async def test_too_many_requests_are_refused(tmp_path: Path) -> None:
    """`batch.max_requests` holds."""
    setup = Setup(engine_backend((Turn([whole("x")]),)), batch=BatchSettings(max_requests=2))
    async with opened(setup, tmp_path) as door, sdk_of(door) as sdk:
        found = (await ended(sdk, await begun(sdk, [line(str(n)) for n in range(3)]))).errors
        assert found is not None and [each.code for each in found.data or []] == ["too_many_tasks"]


async def test_what_a_line_may_not_ask_goes_to_the_error_file(tmp_path: Path) -> None:
    """A stream, a cloud by name, a priority before others, a bad body: each line fails alone, the others are answered."""
    lines = [
        line("ok"),
        line("stream", stream=True),
        line("cloud", model="big"),
        line("first", hearth={"priority": "interactive"}),
        json.dumps({"custom_id": "bad", "url": CHAT, "body": {"model": "auto"}}),
    ]
    setup = Setup(engine_backend((Turn([whole("fine")]),)), clouds=[cloud("big", Turn([whole("never")]))])
    async with opened(setup, tmp_path) as door, sdk_of(door) as sdk:
        batch = await ended(sdk, await begun(sdk, lines))
        assert (batch.status, batch.request_counts.completed, batch.request_counts.failed) == ("completed", 1, 4)
        failed = {row["custom_id"]: row["response"] for row in await lines_of(sdk, batch.error_file_id)}
        assert failed.keys() == {"stream", "cloud", "first", "bad"}
        assert {each["status_code"] for each in failed.values()} == {400}
        error = failed["cloud"]["body"]["error"]
        words = "batch work stays on the box (batch.escalate is off); local could, asked for by name"
        assert (error["code"], error["message"]) == ("batch_escalation_off", words)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "auto", "model": "local", "messages": [{"role": "user", "content": "hi"}]}',
        b'{"model": "auto", "messages": ' + b"[" * 400 + b"]" * 400 + b"}",
    ],
    ids=["a member twice", "too deep"],
)
async def test_a_body_that_no_door_takes_fails_its_line_alone(tmp_path: Path, body: bytes) -> None:
    """It is not tried again, on either wire; the lines beside it are answered."""
    bad = b'{"custom_id": "bad", "url": "/v1/chat/completions", "body": ' + body + b"}"
    setup = Setup(engine_backend((Turn([whole("fine")]),)))
    async with opened(setup, tmp_path) as door, sdk_of(door) as sdk:
        batch = await ended(sdk, await begun(sdk, [line("good"), bad.decode(), line("other")]))
        assert (batch.status, batch.request_counts.completed, batch.request_counts.failed) == ("completed", 2, 1)
        (row,) = await lines_of(sdk, batch.error_file_id)
        assert (row["custom_id"], row["response"]["status_code"]) == ("bad", 400)
        wanted = b'{"requests": [{"custom_id": "bad", "params": ' + body + b"}]}"
        made = (await door.client.post("/v1/messages/batches", content=wanted)).json()
        async with asyncio.timeout(10):
            while (shown := (await door.client.get(f"/v1/messages/batches/{made['id']}")).json())["ended_at"] is None:
                await asyncio.sleep(0.02)
        assert shown["request_counts"]["errored"] == 1


async def test_a_line_that_raises_is_failed_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of ours is in the log, and the line does not run for ever."""
    async with opened(Setup(engine_backend((Turn([whole("fine")]),))), tmp_path) as door, sdk_of(door) as sdk:
        made = door.lane.dialects[CHAT]

        def odd(body: RawBody) -> Dialect:
            if body.data.get("odd"):
                raise RuntimeError("nobody expected this")
            return made(body)

        door.lane.dialects[CHAT] = odd
        batch = await ended(sdk, await begun(sdk, [line("good"), line("bad", odd=True)]))
        assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 1)
        (row,) = await lines_of(sdk, batch.error_file_id)
        assert (row["response"]["status_code"], row["response"]["body"]["error"]["code"]) == (500, "internal_error")
    assert ["nobody expected this" in each.message for each in caplog.records if each.name == "hearth.batch"] == [True]


async def test_batch_work_never_leaves_the_box_unless_it_may(tmp_path: Path) -> None:
    """A saturated or weaker box sends live traffic away, and keeps the lines of a batch."""
    away = cloud("big", Turn([whole("cloud")]))
    setup = Setup(engine_backend((Turn([whole("box")]),)), clouds=[away])
    async with opened(setup, tmp_path) as door, sdk_of(door) as sdk:
        door.desk.planner.policy = replace_escalation(door, queue_depth=0)
        assert (await door.chat()).headers["x-hearth-target"] == "vendor/big-model"
        rows = await lines_of(sdk, (await ended(sdk, await begun(sdk, [line("q")]))).output_file_id)
        assert rows[0]["response"]["body"]["choices"][0]["message"]["content"] == "box"
        hinted = await door.chat(hearth={"priority": "batch"})
        assert hinted.headers["x-hearth-target"] == "local/small"


async def test_a_batch_that_fills_the_engine_sends_nobody_else_away(tmp_path: Path) -> None:
    """Its lines run where a slot was free: they are no queue, before the engine's speed is known either."""
    gate, away = Gate(), cloud("big", Turn([whole("cloud")]))
    backend = engine_backend((*[Turn([whole("line")], wait=gate)] * 7, Turn([whole("box")])))
    backend.lanes[0].slots = 8
    async with opened(Setup(backend, clouds=[away]), tmp_path) as door, sdk_of(door) as sdk:
        id = await begun(sdk, [line(str(n)) for n in range(7)])
        async with asyncio.timeout(10):
            while len(backend.lanes[0].hop.calls) < 7:
                await asyncio.sleep(0.01)
        for _ in range(3):
            answer = await door.chat()
            assert (answer.headers["x-hearth-target"], answer.headers["x-hearth-reason"]) == ("local/small", "default")
            await asyncio.sleep(0.1)
        gate.open()
        assert (await ended(sdk, id)).request_counts.completed == 7


def replace_escalation(door: Door, **members: Any) -> Any:
    policy = door.desk.planner.policy
    escalation = policy.escalation.model_copy(update=members)
    door.desk.fleet.reload(door.desk.fleet.clouds, escalation)
    return dataclasses.replace(policy, escalation=escalation)


async def test_a_line_waits_for_an_engine_that_is_not_up(tmp_path: Path) -> None:
    """It has no end while the engine is down, and its answer after."""
    backend = engine_backend((Turn([whole("fine")]),))
    backend.lanes[0].ready = False
    async with opened(Setup(backend), tmp_path) as door, sdk_of(door) as sdk:
        id = await begun(sdk, [line("q")])
        async with asyncio.timeout(10):
            while (batch := await sdk.batches.retrieve(id)).status != "in_progress":
                await asyncio.sleep(0.02)
        assert batch.request_counts is not None and batch.request_counts.completed == 0
        backend.lanes[0].ready = True
        assert (await ended(sdk, id)).request_counts.completed == 1


async def test_a_slot_stays_free_for_others(tmp_path: Path) -> None:
    """Of three slots the lane takes two; a live request beside them is answered at once."""
    gate = Gate()
    backend = engine_backend((Turn([whole("a")], wait=gate), Turn([whole("b")], wait=gate), Turn([whole("live")])))
    backend.lanes[0].slots = 3
    async with opened(Setup(backend), tmp_path) as door, sdk_of(door) as sdk:
        id = await begun(sdk, [line(str(n)) for n in range(6)])
        async with asyncio.timeout(10):
            while door.lane.in_flight < 2:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert len(backend.lanes[0].hop.calls) == 2
        assert (await door.chat()).json()["choices"][0]["message"]["content"] == "live"
        gate.open()
        assert (await ended(sdk, id)).request_counts.completed == 6


async def test_cancel_keeps_what_is_done(tmp_path: Path) -> None:
    """The answered lines are in the output file, the others in the error file."""
    gate = Gate()
    backend = engine_backend((Turn([whole("first")]), Turn([whole("second")], wait=gate)))
    backend.lanes[0].slots = 2
    async with opened(Setup(backend), tmp_path) as door, sdk_of(door) as sdk:
        id = await begun(sdk, [line(str(n)) for n in range(5)])
        async with asyncio.timeout(10):
            while len(backend.lanes[0].hop.calls) < 2:
                await asyncio.sleep(0.01)
        assert (await sdk.batches.cancel(id)).status == "cancelling"
        gate.open()
        batch = await ended(sdk, id)
        assert (batch.status, batch.request_counts.completed) == ("cancelled", 2)
        errors = await lines_of(sdk, batch.error_file_id)
        assert [(row["custom_id"], row["error"]["code"]) for row in errors] == [
            (str(n), "batch_cancelled") for n in (2, 3, 4)
        ]
        with pytest.raises(openai.ConflictError):
            await sdk.batches.cancel(id)


async def test_revoking_a_key_cancels_its_batches(tmp_path: Path) -> None:
    """What is under way may end; no other line starts, and nobody pays for a key that is gone."""
    gate = Gate()
    backend = engine_backend((Turn([whole("first")]), Turn([whole("second")], wait=gate)))
    backend.lanes[0].slots = 2
    async with opened(Setup(backend, keys=("one", "two")), tmp_path) as door, sdk_of(door, "one") as sdk:
        id = await begun(sdk, [line(str(n)) for n in range(5)])
        async with sdk_of(door, "two") as other, asyncio.timeout(10):
            while len(backend.lanes[0].hop.calls) < 2:
                await asyncio.sleep(0.01)
            kept, started = (
                await begun(other, [line("kept")]),
                await door.batches.call(lambda database: database.batch(id)),
            )
            assert started is not None
            gone, known = started.owner, door.lane.owner
            door.lane.owner = lambda id: msgspec.structs.replace(known(id), revoked=id == gone)
            door.lane.wake()
            while (await sdk.batches.retrieve(id)).status == "in_progress":
                await asyncio.sleep(0.01)
            gate.open()
            assert (await ended(other, kept)).status == "completed"
        batch = await ended(sdk, id)
        assert (batch.status, batch.request_counts.completed) == ("cancelled", 2)


async def test_an_expired_batch_names_the_lines_it_did_not_reach(tmp_path: Path) -> None:
    """They get their end without being asked."""
    backend = engine_backend((Turn([whole("late")]),))
    backend.lanes[0].ready = False
    async with opened(Setup(backend), tmp_path) as door, sdk_of(door) as sdk:
        id = await begun(sdk, [line("q")])
        wall = door.desk.wall
        door.desk.wall = lambda: wall() + 25 * 3600
        door.lane.wake()
        batch = await ended(sdk, id)
        assert batch.status == "expired" and batch.expired_at is not None
        assert [row["error"]["code"] for row in await lines_of(sdk, batch.error_file_id)] == ["batch_expired"]


async def test_a_new_process_goes_on_where_the_last_one_died(tmp_path: Path) -> None:
    """Lines with an answer are not asked again, those without are."""
    gate = Gate()
    first = engine_backend((Turn([whole("one")]), Turn([whole("lost")], wait=gate)))
    first.lanes[0].slots = 2
    async with opened(Setup(first), tmp_path) as door, sdk_of(door) as sdk:
        id = await begun(sdk, [line(str(n)) for n in range(4)])
        async with asyncio.timeout(10):
            while len(first.lanes[0].hop.calls) < 2:
                await asyncio.sleep(0.01)
    second = engine_backend((Turn([whole("again")]),))
    async with opened(Setup(second), tmp_path) as door, sdk_of(door) as sdk:
        rows = await lines_of(sdk, (await ended(sdk, id)).output_file_id)
        texts = [row["response"]["body"]["choices"][0]["message"]["content"] for row in rows]
        assert texts == ["one", "again", "again", "again"]
        assert len(second.lanes[0].hop.calls) == 3


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file grows meanwhile."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_an_answer_that_a_full_disk_does_not_take_is_not_asked_for_again(tmp_path: Path) -> None:
    """It waits for room, and no other line starts; another batch that cannot begin disturbs neither. Then all go on."""
    gate = Gate()
    backend = engine_backend((Turn([whole("first")], wait=gate), Turn([whole("second")])))
    backend.lanes[0].slots = 2  # one of them stays free for others
    async with opened(Setup(backend), tmp_path) as door, sdk_of(door) as sdk:
        id = await begun(sdk, [line(str(n)) for n in range(3)])
        later = await sdk.files.create(file=("in.jsonl", line("later").encode()), purpose="batch")
        asked = backend.lanes[0].hop.calls
        async with asyncio.timeout(10):
            while not asked:
                await asyncio.sleep(0.01)
            with full_disk():
                gate.open()
                while door.batches.trouble is None:
                    await asyncio.sleep(0.01)
                with pytest.raises(openai.InternalServerError, match="batches cannot be read or written"):
                    await sdk.batches.create(input_file_id=later.id, endpoint=CHAT, completion_window="24h")
                for _ in range(5):
                    door.lane.wake()
                    await asyncio.sleep(0.05)
                assert len(asked) == 1 and door.lane.in_flight == 1
        batch = await ended(sdk, id)
        rows = await lines_of(sdk, batch.output_file_id)
        texts = [row["response"]["body"]["choices"][0]["message"]["content"] for row in rows]
        assert (texts, len(asked)) == (["first", "second", "second"], 3)


async def test_a_file_is_deleted_on_a_full_disk(tmp_path: Path) -> None:
    """Its content gives room at once; the rest of it goes when the disk can take that."""
    async with opened(Setup(engine_backend(())), tmp_path) as door, sdk_of(door) as sdk:
        file = await sdk.files.create(file=("in.jsonl", line("q").encode()), purpose="batch")
        with full_disk(), pytest.raises(openai.InternalServerError):
            await sdk.files.delete(file.id)
        assert list((tmp_path / "files").iterdir()) == []
        for below in ("/contents", "/content/1", "/content/content"):
            assert (await door.client.get(f"/v1/files/{file.id}{below}")).status_code == httpx.codes.NOT_FOUND
        with pytest.raises(openai.NotFoundError, match="is gone"):
            await sdk.files.content(file.id)
        assert (await sdk.files.delete(file.id)).deleted
        with pytest.raises(openai.NotFoundError, match="is kept"):
            await sdk.files.retrieve(file.id)


async def test_files_and_batches_belong_to_their_key(tmp_path: Path) -> None:
    """Another key sees, reads, cancels and deletes nothing."""
    setup = Setup(engine_backend((Turn([whole("fine")]),)), keys=("one", "two"))
    async with opened(setup, tmp_path) as door, sdk_of(door, "one") as mine, sdk_of(door, "two") as other:
        id = await begun(mine, [line("q")])
        batch = await ended(mine, id)
        assert (await other.batches.list()).data == [] and (await other.files.list()).data == []
        for call in (
            other.batches.retrieve(id),
            other.batches.cancel(id),
            other.files.retrieve(batch.input_file_id),
            other.files.delete(batch.input_file_id),
            other.files.content(batch.output_file_id),
        ):
            with pytest.raises(openai.NotFoundError):
                await call
        with pytest.raises(openai.BadRequestError):
            await other.batches.create(input_file_id=batch.input_file_id, endpoint=CHAT, completion_window="24h")
        assert {each.purpose for each in (await mine.files.list()).data} == {"batch", "batch_output"}
        assert (await mine.files.delete(batch.input_file_id)).deleted


@pytest.mark.parametrize("place", ["file", "batch", "body", "line", None])
async def test_a_requirement_holds_for_every_line(tmp_path: Path, place: str | None) -> None:
    """Wherever it was made: with an escalating lane, a certificate that nobody off the box has keeps the lines on it."""
    setup = Setup(
        engine_backend((Turn([whole("box")]),)),
        clouds=[cloud("big", Turn([whole("cloud")]))],
        batch=BatchSettings(escalate=True),
    )
    header, member = {"x-hearth-requires": "hipaa"}, {"hearth": {"requires": ["hipaa"]}}
    async with opened(setup, tmp_path) as door, sdk_of(door) as sdk:
        door.desk.planner.policy = dataclasses.replace(replace_escalation(door, queue_depth=0), batch_leaves=True)
        own: dict[str, Any] = member if place == "line" else {}
        content = line("q", **own).encode()
        upload = header if place == "file" else None
        file = await sdk.files.create(file=("in.jsonl", content), purpose="batch", extra_headers=upload)
        batch = await sdk.batches.create(
            input_file_id=file.id,
            endpoint=CHAT,
            completion_window="24h",
            extra_headers=header if place == "batch" else None,
            extra_body=member if place == "body" else None,
        )
        (row,) = await lines_of(sdk, (await ended(sdk, batch.id)).output_file_id)
        text = row["response"]["body"]["choices"][0]["message"]["content"]
        assert text == ("box" if place else "cloud")


@pytest.mark.parametrize("place", ["headers", "body", None])
async def test_a_requirement_of_a_message_batch_holds_for_every_line(tmp_path: Path, place: str | None) -> None:
    """In its headers or in its body."""
    setup = Setup(
        engine_backend((Turn(told("box")),)),
        clouds=[cloud("big", Turn(told("cloud")))],
        batch=BatchSettings(escalate=True),
    )
    header, member = {"x-hearth-requires": "hipaa"}, {"hearth": {"requires": ["hipaa"]}}
    async with (
        opened(setup, tmp_path) as door,
        anthropic.AsyncAnthropic(base_url=door.url, api_key="none", max_retries=0) as sdk,
    ):
        door.desk.planner.policy = dataclasses.replace(replace_escalation(door, queue_depth=0), batch_leaves=True)
        params: Any = {"model": "auto", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        made = await sdk.messages.batches.create(
            requests=[{"custom_id": "a", "params": params}],
            extra_headers=header if place == "headers" else None,
            extra_body=member if place == "body" else None,
        )
        async with asyncio.timeout(20):
            while (await sdk.messages.batches.retrieve(made.id)).processing_status != "ended":
                await asyncio.sleep(0.02)
        (row,) = [each async for each in await sdk.messages.batches.results(made.id)]
        assert row.result.model_dump()["message"]["content"][0]["text"] == ("box" if place else "cloud")


async def test_a_line_that_pins_a_cloud_is_bound_by_a_requirement(tmp_path: Path) -> None:
    """It ends as refused, and nothing of it reaches the cloud; a line without the requirement does."""
    big = cloud("big", Turn([whole("cloud")]), Turn([whole("cloud")]))
    setup = Setup(engine_backend((Turn([whole("box")]),)), clouds=[big], batch=BatchSettings(escalate=True))
    async with opened(setup, tmp_path) as door, sdk_of(door) as sdk:
        door.desk.planner.policy = dataclasses.replace(door.desk.planner.policy, batch_leaves=True)
        lines = [line("bound", model="big", hearth={"requires": ["hipaa"]}), line("free", model="big")]
        batch = await ended(sdk, await begun(sdk, lines))
        (refused,), (answered,) = await lines_of(sdk, batch.error_file_id), await lines_of(sdk, batch.output_file_id)
        assert (refused["custom_id"], refused["response"]["status_code"]) == ("bound", 403)
        assert refused["response"]["body"]["error"]["code"] == "no_compliant_target"
        assert answered["custom_id"] == "free"


async def test_lines_wait_under_queue_until_the_budget_has_room(tmp_path: Path) -> None:
    """Those that pin a priced cloud: none is asked or ended meanwhile, and each is answered once."""
    big = cloud("big", Turn([whole("cloud")]), Turn([whole("cloud")]), price=Price(1000.0, 1000.0))
    setup = Setup(engine_backend((Turn([whole("box")]),)), clouds=[big], batch=BatchSettings(escalate=True))
    async with opened(setup, tmp_path) as door, sdk_of(door) as sdk:
        desk = door.desk
        file = SpentFile(tmp_path / "budget.sqlite3")
        budget = desk.fleet.budget = BudgetLedger(file, {ALL: SpendingLimits(0.0)}, "UTC", desk.wall)
        budget.when_spent = "queue"
        desk.planner.policy = dataclasses.replace(desk.planner.policy, when_spent="queue", batch_leaves=True)
        id = await begun(sdk, [line("a", model="big"), line("b", model="big")])
        async with asyncio.timeout(20):
            while not door.lane._held:
                await asyncio.sleep(0.01)
        waiting = await sdk.batches.retrieve(id)
        assert waiting.status == "in_progress"
        assert waiting.request_counts is not None and waiting.request_counts.completed == 0
        assert budget.spent_usd()[0] == 0.0
        budget.limits = {ALL: SpendingLimits(100.0)}
        door.lane._held.clear()  # the next look, which is a minute later
        rows = await lines_of(sdk, (await ended(sdk, id)).output_file_id)
        assert sorted(row["custom_id"] for row in rows) == ["a", "b"]
        budget.close()


@pytest.mark.parametrize(
    "members",
    [
        {"extra_body": {"hearth": {"require": ["hipaa"]}}},
        {"extra_headers": {"x-hearth-require": "hipaa"}},
        {"metadata": {str(n): "x" for n in range(17)}},
        {"metadata": {"k" * 65: "x"}},
        {"metadata": {"k": "x" * 513}},
        {"completion_window": "soon"},
        {"endpoint": "/v1/messages"},
        {"output_expires_after": {"anchor": "created_at", "seconds": 60}},
    ],
)
async def test_a_batch_that_cannot_be_is_refused(tmp_path: Path, members: dict[str, Any]) -> None:
    """A misspelt demand, metadata above the wire's bounds, a window or an endpoint that is none: nothing is stored."""
    async with opened(Setup(engine_backend((Turn([whole("x")]),))), tmp_path) as door, sdk_of(door) as sdk:
        file = await sdk.files.create(file=("in.jsonl", line("q").encode()), purpose="batch")
        asked: dict[str, Any] = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"}
        with pytest.raises(openai.BadRequestError):
            await sdk.batches.create(**asked | members)
        assert (await sdk.batches.list()).data == []


async def test_what_came_of_a_batch_is_kept_as_long_as_its_client_asks(tmp_path: Path) -> None:
    """Its output and its errors both."""
    after: Any = {"anchor": "created_at", "seconds": 7200}
    async with opened(Setup(engine_backend((Turn([whole("x")]),))), tmp_path) as door, sdk_of(door) as sdk:
        batch = await ended(sdk, await begun(sdk, [line("a"), line("b", model="none")], output_expires_after=after))
        for id in (batch.output_file_id, batch.error_file_id):
            file = await sdk.files.retrieve(id)
            assert file.expires_at is not None and file.expires_at - file.created_at == 7200


async def test_a_file_past_its_end_begins_no_batch(tmp_path: Path) -> None:
    """It is as gone as a deleted one."""
    async with opened(Setup(engine_backend((Turn([whole("x")]),))), tmp_path) as door, sdk_of(door) as sdk:
        after: Any = {"anchor": "created_at", "seconds": 3600}
        content = ("in.jsonl", line("q").encode())
        file = await sdk.files.create(file=content, purpose="batch", expires_after=after)
        wall = door.desk.wall
        door.desk.wall = lambda: wall() + 3601
        with pytest.raises(openai.BadRequestError):
            await sdk.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")


async def test_message_batches_by_the_sdk(tmp_path: Path) -> None:
    """Made, listed, read, and their results in the messages wire; a bad line is errored alone."""
    setup = Setup(engine_backend((Turn(told("fine")),)))
    async with (
        opened(setup, tmp_path) as door,
        anthropic.AsyncAnthropic(base_url=door.url, api_key="none", max_retries=0) as sdk,
    ):
        good = {"model": "auto", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        made = await sdk.messages.batches.create(
            requests=[
                {"custom_id": "a", "params": good},  # type: ignore[typeddict-item]
                {"custom_id": "b", "params": {"model": "auto", "max_tokens": 9, "messages": "no"}},  # type: ignore[typeddict-item]
            ]
        )
        async with asyncio.timeout(20):
            while (batch := await sdk.messages.batches.retrieve(made.id)).processing_status != "ended":
                await asyncio.sleep(0.02)
        assert (batch.request_counts.succeeded, batch.request_counts.errored) == (1, 1)
        results = {each.custom_id: each.result async for each in await sdk.messages.batches.results(made.id)}
        assert results["a"].model_dump()["message"]["content"][0]["text"] == "fine"
        assert results["b"].model_dump()["error"]["error"]["type"] == "invalid_request_error"
        assert batch.results_url == f"{door.url}/v1/messages/batches/{made.id}/results"
        proxied = {"x-forwarded-proto": "https", "x-forwarded-host": "localhost:8443"}
        door.app.policy = dataclasses.replace(door.app.policy, proxies=Proxies(["127.0.0.1"]), prefix="/hearth")
        shown = await sdk.messages.batches.retrieve(made.id, extra_headers=proxied)
        assert shown.results_url == f"https://localhost:8443/hearth/v1/messages/batches/{made.id}/results"
        assert [each.id async for each in await sdk.messages.batches.list()] == [made.id]
        assert (await sdk.messages.batches.cancel(made.id)).processing_status == "ended"
        await sdk.messages.batches.delete(made.id)
        with pytest.raises(anthropic.NotFoundError):
            await sdk.messages.batches.retrieve(made.id)


@pytest.mark.parametrize(
    ("files", "data", "status"),
    [
        ({"file": ("a.jsonl", b"{}")}, {"purpose": "fine-tune"}, 400),
        ({"file": ("a.jsonl", b"{}")}, {}, 400),
        ({"other": ("a.jsonl", b"{}")}, {"purpose": "batch"}, 400),
        ({"file": ("a.jsonl", b"x" * 3_000_000)}, {"purpose": "batch"}, 413),
        ({"file": ("a.jsonl", b"{}")}, {"purpose": "batch", "long": "x" * 5000}, 400),
        ({"file": ("a.jsonl", b"{}")}, {"purpose": "batch", "expires_after[seconds]": "a day"}, 400),
    ],
)
async def test_a_refused_upload_leaves_nothing(
    tmp_path: Path, files: dict[str, Any], data: dict[str, str], status: int
) -> None:
    """Neither a file nor a half-written content."""
    setup = Setup(engine_backend((Turn([whole("x")]),)), batch=BatchSettings(max_file_mb=2))
    async with opened(setup, tmp_path) as door:
        answer = await door.client.post("/v1/files", files=files, data=data)
        assert answer.status_code == status and answer.json()["error"]["message"]
        assert (await door.client.get("/v1/files")).json()["data"] == []
        assert list((tmp_path / "files").iterdir()) == []


async def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    """A form without its end is refused."""
    async with opened(Setup(engine_backend((Turn([whole("x")]),))), tmp_path) as door:
        body = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nhalf'
        headers = {"content-type": "multipart/form-data; boundary=b"}
        answer = await door.client.post("/v1/files", content=body, headers=headers)
        assert answer.status_code == 400 and "cut short" in answer.json()["error"]["message"]
        assert list((tmp_path / "files").iterdir()) == []


async def test_a_line_is_tried_again_when_every_candidate_failed(tmp_path: Path) -> None:
    """Three times, then its error is its end."""
    backend = engine_backend((error(500, "boom"),))
    async with opened(Setup(backend), tmp_path) as door, sdk_of(door) as sdk:
        batch = await ended(sdk, await begun(sdk, [line("q")]))
        (row,) = await lines_of(sdk, batch.error_file_id)
        assert row["response"]["status_code"] == 503 and batch.request_counts.failed == 1


async def test_a_box_without_batches_has_no_file_of_them(tmp_path: Path) -> None:
    """The lane looks for work and makes nothing."""
    async with opened(Setup(engine_backend((Turn([whole("x")]),))), tmp_path) as door:
        assert (await door.chat()).status_code == 200
    assert not (tmp_path / "batches.sqlite3").exists() and not (tmp_path / "files").exists()


@pytest.mark.parametrize("path", ["/v1/files", "/v1/batches"])
async def test_an_unknown_order_of_a_list_is_refused(tmp_path: Path, path: str) -> None:
    """As any other bad parameter, with its name; the two known ones are taken."""
    async with opened(Setup(engine_backend((Turn([whole("x")]),))), tmp_path) as door:
        refused = await door.client.get(path, params={"order": "newest"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "order")
        for known in ("asc", "desc"):
            assert (await door.client.get(path, params={"order": known})).status_code == 200


async def test_a_content_is_served_in_pieces(tmp_path: Path) -> None:
    """A file larger than one piece comes back byte for byte, with its length."""
    async with opened(Setup(engine_backend((Turn([whole("x")]),))), tmp_path) as door, sdk_of(door) as sdk:
        content = bytes(range(256)) * 12_000
        file = await sdk.files.create(file=("in.jsonl", content), purpose="batch")
        assert file.bytes == len(content)
        answer = (await sdk.files.content(file.id)).response
        assert answer.content == content and int(answer.headers["content-length"]) == len(content)
