"""Structured answers from models that enforce none: instructed, checked, asked for once more."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from runtime.contract.events import Event, Stop, TextDelta
from runtime.contract.failures import Disposition, Kind
from runtime.contract.messages import Format, Message, Request, Role, Text
from runtime.dialects.format import CHECKS, FORMAT_NOT_KEPT, Check, CheckedMeter, instructed, repair, unfenced
from runtime.wire.child_pool import UncheckedError
from runtime.wire.json_schema import SchemaViolation, violation

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
WANTED = Format(SCHEMA)
SYSTEM, USER = Message(Role.SYSTEM, (Text("s"),)), Message(Role.USER, (Text("u"),))


def test_the_format_stands_behind_the_instructions() -> None:
    """In the same words every time, so that prompt caches hold; an object is still asked for."""
    request = Request("auto", (SYSTEM, USER), format=WANTED)
    told = instructed(request)
    assert [message.role for message in told.messages] == [Role.SYSTEM, Role.SYSTEM, Role.USER]
    (text,) = told.messages[1].parts
    assert isinstance(text, Text)
    assert '"required":["n"]' in text.text
    assert told.format == Format(None)
    assert instructed(request) == told


def test_no_format_changes_nothing() -> None:
    """A request for plain text stays what it is."""
    request = Request("auto", (USER,))
    assert instructed(request) is request


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ('{"n": 1}', True),
        ('```json\n{"n": 1}\n```', True),
        ('  ```\r\n{"n": 1}```  ', True),
        ('{"n": "one"}', False),
        ("{}", False),
        ("one", False),
        ('Here it is: {"n": 1}', False),
        ("", False),
    ],
)
def test_answers_are_held_against_their_schema(text: str, right: bool) -> None:
    """A fence around the whole is forgiven, prose is not."""
    assert (violation(unfenced(text), SCHEMA) is None) is right


def test_a_violation_says_where() -> None:
    """So that the model can mend it."""
    found = violation('{"n": "one"}', SCHEMA)
    assert found is not None
    assert found.at == "$.n"


def test_any_object_where_no_schema_is_given() -> None:
    """JSON mode wants an object, nothing more."""
    assert violation("{}", None) is None
    assert violation("[]", None) == SchemaViolation("it is not a JSON object")


@pytest.mark.parametrize("schema", [{"type": 5}, {"$ref": "https://example.com/s.json"}, {"$ref": "#/nowhere"}])
def test_a_schema_that_is_not_valid_allows_everything(schema: dict[str, object]) -> None:
    """Nothing is fetched, nothing is raised."""
    assert violation("{}", schema) is None


def test_a_fence_is_taken_off_in_linear_time() -> None:
    """A megabyte of spaces or backticks behind an opening fence."""
    before = time.process_time()
    for text in ("```\n" + " " * 1_000_000 + "x", "```\n" + "` \n" * 300_000 + "x", " " * 1_000_000):
        assert unfenced(text) == text
    assert time.process_time() - before < 0.5


class Texts:
    """A decoder of plain texts; the end is a stop."""

    closed = False

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        return (TextDelta(0, data.decode()),)

    def finish(self) -> Sequence[Event]:
        return (Stop("stop", None, None),)


class Plain:
    """A writer of plain texts."""

    def feed(self, event: Event) -> bytes:
        return event.text.encode() if isinstance(event, TextDelta) else b""

    def end(self) -> bytes:
        return b"."


def checked(limit: int = 1000, check: Check = CHECKS.violation) -> CheckedMeter:
    return CheckedMeter(Texts(), Plain(), Request("auto", (USER,), format=WANTED), check, limit)


async def test_nothing_is_written_before_it_is_checked() -> None:
    """Then the whole of it, without its fence; `end` before the check is a mistake of the caller."""
    meter = checked()
    assert meter.feed(b'data: ```\ndata: {"n": 1}\n\ndata: \ndata: ```\n\n') == b""
    with pytest.raises(RuntimeError, match="not checked"):
        meter.end()
    await meter.check()
    await meter.check()
    assert (meter.end(), meter.done, meter.end()) == (b'{"n": 1}.', True, b"")


async def test_an_answer_that_does_not_keep_its_format_is_a_failure() -> None:
    """With what is wrong, for the repair."""
    meter = checked()
    meter.feed(b"data: {}\n\n")
    await meter.check()
    assert (meter.end(), meter.text) == (b"", "{}")
    assert meter.failure is not None
    assert meter.failure.code == FORMAT_NOT_KEPT
    assert meter.violation is not None


async def test_an_answer_that_cannot_be_checked_in_time_is_a_failure_without_a_repair() -> None:
    """Another request to the same model would hang as long."""

    async def late(text: str, schema: object) -> SchemaViolation | None:
        raise UncheckedError("late")

    meter = checked(check=late)
    meter.feed(b"data: {}\n\n")
    await meter.check()
    assert meter.end() == b""
    assert meter.failure is not None
    assert "could not be checked in time: late" in meter.failure.message
    assert meter.failure.disposition is Disposition.NEXT_CANDIDATE
    assert meter.violation is None


async def test_an_endless_answer_is_not_held() -> None:
    """It is garbled from its limit on."""
    meter = checked(limit=100)
    for _ in range(100):
        assert meter.feed(b"data: 0123456789\n\n") == b""
    assert meter.failure is not None
    assert meter.failure.kind is Kind.GARBLED
    assert len(meter._held.events) <= 10


def test_the_repair_shows_the_answer_and_its_fault() -> None:
    """One more turn, with the words of the checker."""
    request = repair(Request("auto", (USER,), format=WANTED), "oops", SchemaViolation("it is not valid JSON"))
    assert [message.role for message in request.messages] == [Role.USER, Role.ASSISTANT, Role.USER]
    (asked,) = request.messages[2].parts
    assert isinstance(asked, Text)
    assert "it is not valid JSON" in asked.text
    assert len(repair(Request("auto", (USER,)), "", SchemaViolation("x")).messages) == 2
