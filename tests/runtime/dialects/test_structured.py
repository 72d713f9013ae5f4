"""Structured answers where nobody enforces them: said in words, checked here, asked for once more."""

from __future__ import annotations

import pytest

from runtime.contract.messages import Format, Message, Request, Role, Text
from runtime.dialects.structured import Fault, fault, instructed, repair

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
WANTED = Format(SCHEMA)
SYSTEM, USER = Message(Role.SYSTEM, (Text("s"),)), Message(Role.USER, (Text("u"),))


def test_the_wish_stands_behind_the_instructions() -> None:
    """In the same words every time, so that prompt caches hold; an object is still asked for."""
    request = Request("auto", (SYSTEM, USER), format=WANTED)
    told = instructed(request)
    assert [message.role for message in told.messages] == [Role.SYSTEM, Role.SYSTEM, Role.USER]
    (text,) = told.messages[1].parts
    assert isinstance(text, Text)
    assert '"required":["n"]' in text.text
    assert told.format == Format(None)
    assert instructed(request) == told


def test_no_wish_changes_nothing() -> None:
    """A request for plain text stays what it is."""
    request = Request("auto", (USER,))
    assert instructed(request) is request


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ('{"n": 1}', True),
        ('```json\n{"n": 1}\n```', True),
        ('{"n": "one"}', False),
        ("{}", False),
        ("one", False),
        ('Here it is: {"n": 1}', False),
        ("", False),
    ],
)
def test_answers_are_held_against_their_schema(text: str, right: bool) -> None:
    """A fence around the whole is forgiven, prose is not."""
    assert (fault(text, WANTED) is None) is right


def test_a_fault_says_where() -> None:
    """So that the model can mend it."""
    found = fault('{"n": "one"}', WANTED)
    assert found is not None
    assert found.at == "$.n"


def test_any_object_where_no_schema_is_given() -> None:
    """JSON mode wants an object, nothing more."""
    assert fault("{}", Format()) is None
    assert fault("[]", Format()) == Fault("it is not a JSON object")


@pytest.mark.parametrize("schema", [{"type": 5}, {"$ref": "https://example.com/s.json"}, {"$ref": "#/nowhere"}])
def test_a_schema_that_is_none_binds_nothing(schema: dict[str, object]) -> None:
    """Nothing is fetched, nothing is raised."""
    assert fault("{}", Format(schema)) is None


def test_the_repair_shows_the_answer_and_its_fault() -> None:
    """One more turn, with the words of the checker."""
    request = repair(Request("auto", (USER,), format=WANTED), "oops", Fault("it is not valid JSON"))
    assert [message.role for message in request.messages] == [Role.USER, Role.ASSISTANT, Role.USER]
    (asked,) = request.messages[2].parts
    assert isinstance(asked, Text)
    assert "it is not valid JSON" in asked.text
    assert len(repair(Request("auto", (USER,)), "", Fault("x")).messages) == 2
