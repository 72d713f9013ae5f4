"""Checks of answers: what holds, what does not, and the class of the result."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from runtime.quality.golden.answers import ModelAnswer, ToolUse, read_completion
from runtime.quality.golden.check_shapes import BadCheck, read_check
from runtime.quality.golden.checks import Graded, chosen, findings, graded, last_number
from runtime.quality.values import Grade

SCHEMA = {"type": "object", "required": ["total"], "properties": {"total": {"type": "number"}}}
CALL = ToolUse("weather", '{"city": "Rome", "days": {"from": 1, "to": 3}}')


def unread(name: str) -> str:
    raise FileNotFoundError(name)


def grade(
    text: str,
    *written: dict[str, Any],
    finish: str = "stop",
    refusal: str | None = None,
    tools: Any = (),
    of: float = 1.0,
) -> Graded:
    checks = tuple(read_check(each, unread) for each in written)
    answer = ModelAnswer(text, finish, refusal, tools)
    return graded(checks, of, answer, findings(checks, answer))


HOLD = [
    ("Paris", {"equals": "Paris"}),
    (" Paris\n", {"equals": ["Rome", "Paris"]}),
    ("PARIS", {"equals": "paris", "ignore_case": True}),
    ("It is Paris.", {"contains": "Paris"}),
    ("It is Paris.", {"any_of": ["Rome", "Paris"]}),
    ("Rome and Paris", {"all_of": ["Rome", "Paris"]}),
    ("Yes, it is", {"starts": "Yes"}),
    ("The answer is 42.", {"ends": "42"}),
    ("order AB-1234 is late", {"regex": r"\b[A-Z]{2}-\d{4}\b"}),
    ("first 3, then 1,234.50 dollars", {"number": 1234.5}),
    ("about 3.14", {"number": 3.14159, "tolerance": 0.01}),
    ("pages 10-12", {"number": 12}),
    ("it fell by -4", {"number": -4}),
    ("(B)", {"choice": "B"}),
    ("The answer is B, a river.", {"choice": "B"}),
    ("Answer: B, A is wrong", {"choice": "B"}),
    ("The answer is **C**, because A is wrong", {"choice": "C"}),
    ("positive", {"choice": "positive", "among": ["positive", "negative"]}),
    ('{"total": 3}', {"json": True}),
    ('{"total": 3}', {"json": SCHEMA}),
    ('```json\n{"total": 3}\n```', {"json": SCHEMA, "fenced": True}),
    ('{"a": [{"b": 1.0001}]}', {"path": "a.0.b", "equals": 1, "tolerance": 0.01}),
    ('{"a/b": "x1"}', {"path": "/a~1b", "regex": r"^x\d$"}),
    ('{"a": null}', {"path": "a"}),
    ('{"a": "ACME"}', {"path": "a", "equals": "Acme", "ignore_case": True}),
    ("Das ist nicht die Antwort, und der Rest ist für sie.", {"language": "de"}),
    ("one two three", {"words": {"min": 2, "max": 3}}),
    ("It's 1,000.50 well-known", {"words": {"min": 3, "max": 3}}),
    ("a, b - c", {"words": {"min": 3, "max": 3}}),
    ("a, b - c", {"words": {"min": 4, "max": 4}, "by": "space"}),
    ("abc", {"chars": 3}),
    ("Here:\n```python\ndef f(x):\n    return x\n```\nDone.", {"parses": "python"}),
    ("a = 1", {"parses": "toml"}),
    ("the cat sat on a mat", {"similar": "the cat sat on the mat", "at_least": 0.8}),
    ("the cat sat on the mat", {"similar": "the cat sat on the mat", "by": "lcs", "at_least": 1}),
    ("It is the Paris!", {"similar": ["Rome", "paris"], "by": "within"}),
    ("Paris", {"similar": "in Paris, a city", "by": "within"}),
    ("The $42,  well known", {"similar": ["x", "42.0 Well-Known!"], "by": "same"}),
    ("A", {"similar": "a", "by": "same"}),
    ("no apology here", {"not": {"contains": "sorry"}}),
    ("no apology here", {"contains": "sorry", "not": True}),
    ("I can't help with that.", {"refused": True}),
    ("Here you are.", {"refused": False}),
]


@pytest.mark.parametrize(("text", "check"), HOLD, ids=lambda each: str(each)[:40])
def test_it_holds(text: str, check: dict[str, Any]) -> None:
    """The check holds, and turned over it does not."""
    assert grade(text, check) == Graded(Grade.PASS, 1.0)
    if "not" not in check:
        assert grade(text, {"not": check}).grade is not Grade.PASS


FAIL = [
    ("Lyon", {"equals": "Paris"}, Grade.WRONG),
    ("paris", {"contains": "Paris"}, Grade.WRONG),
    ("Rome", {"all_of": ["Rome", "Paris"]}, Grade.WRONG),
    ("none", {"number": 3}, Grade.WRONG),
    ("first 3 then 4", {"number": 3}, Grade.WRONG),
    ("A or B", {"choice": "A"}, Grade.MALFORMED),
    ("ANSWER: A, B", {"choice": "A"}, Grade.MALFORMED),
    ("The label is positive and negative.", {"choice": "positive", "among": ["positive", "negative"]}, Grade.MALFORMED),
    ("B", {"choice": "A"}, Grade.WRONG),
    ('```json\n{"total": 3}\n```', {"json": True}, Grade.MALFORMED),
    ('{"total": "3"}', {"json": SCHEMA}, Grade.MALFORMED),
    ('{"total": 3', {"json": SCHEMA}, Grade.MALFORMED),
    ('{"a": 1}', {"path": "b", "equals": 1}, Grade.MALFORMED),
    ('{"a": 1}', {"path": "a", "equals": 2}, Grade.WRONG),
    ('{"a": true}', {"path": "a", "equals": 1}, Grade.WRONG),
    ("def f(:", {"parses": "python"}, Grade.MALFORMED),
    ("", {"parses": "python"}, Grade.MALFORMED),
    ("one two three", {"words": 2}, Grade.WRONG),
    ("Yes, here it is.", {"refused": True}, Grade.WRONG),
    ("I'm sorry, I cannot do that.", {"contains": "Paris"}, Grade.REFUSED),
    ("I'm sorry, I cannot do that.", {"refused": False}, Grade.REFUSED),
    ("a dog barks", {"similar": "the cat sat on the mat"}, Grade.WRONG),
    ("the", {"similar": "Paris", "by": "within"}, Grade.WRONG),
    ("in Paris", {"similar": "Paris", "by": "same"}, Grade.WRONG),
    ("A", {"similar": "the", "by": "same"}, Grade.WRONG),
]


@pytest.mark.parametrize(("text", "check", "expected"), FAIL, ids=lambda each: str(each)[:40])
def test_it_fails(text: str, check: dict[str, Any], expected: Grade) -> None:
    """The check does not hold, the result has its class, and a sentence says why."""
    found = grade(text, check)
    assert (found.grade, found.score) == (expected, 0.0)
    assert found.words


@pytest.mark.parametrize(
    ("check", "tools", "holds"),
    [
        ({"tool": "weather"}, (CALL,), True),
        ({"tool": "weather", "arguments": {"days": {"to": 3}}}, (CALL,), True),
        ({"tool": "weather", "arguments": {"days": {"to": 4}}}, (CALL,), False),
        ({"tool": "weather", "schema": {"required": ["city"]}}, (CALL,), True),
        ({"tool": "weather", "schema": {"required": ["country"]}}, (CALL,), False),
        ({"tool": "search"}, (CALL,), False),
        ({"tool": False}, (), True),
        ({"tool": False}, (CALL,), False),
        ({"tool": "weather"}, (ToolUse("weather", "{"),), False),
    ],
)
def test_a_tool_call(check: dict[str, Any], tools: Any, holds: bool) -> None:
    """A call is checked by its name, by members of its arguments at any depth, and by a schema."""
    assert (grade("", check, tools=tools).grade is Grade.PASS) is holds


def test_the_vendors_sign_of_a_refusal_comes_first() -> None:
    """A refusal is known by the answer's own members, and by words only where a short answer begins with them."""
    wanted = {"contains": "Paris"}
    assert grade("", wanted, refusal="no").grade is Grade.REFUSED
    assert grade("", wanted, finish="content_filter").grade is Grade.REFUSED
    assert grade("Dear Sir, I am writing to say that we are sorry about it.", wanted).grade is Grade.WRONG
    assert grade("I'm sorry about the delay. " + "The parcel is on its way. " * 30, wanted).grade is Grade.WRONG
    assert grade("I'm sorry, it is Paris", wanted).grade is Grade.PASS


def test_an_answer_that_ran_into_its_limit_is_cut() -> None:
    """Cut stands before wrong and malformed; an answer that passes all the same passes."""
    assert grade('{"total": ', {"json": True}, finish="length").grade is Grade.CUT
    assert grade("Paris, which", {"contains": "Paris"}, finish="length").grade is Grade.PASS


def test_a_threshold_weighs() -> None:
    """With a threshold, the weighted share of checks decides."""
    good, bad = {"contains": "a", "weight": 3}, {"contains": "z"}
    assert grade("abc", good, bad, of=0.75).grade is Grade.PASS
    assert grade("abc", good, bad, of=0.76).grade is Grade.WRONG
    assert grade("abc", good, bad).grade is Grade.WRONG


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("contains", "a check is a table"),
        ({}, "there is no check"),
        ({"contians": "x"}, "no check 'contians'"),
        ({"contains": ["a"]}, "contains wants a text"),
        ({"contains": "x", "words": 3}, "two checks are two tables"),
        ({"contains": "x", "weight": 0}, "weight is a number above 0"),
        ({"regex": "("}, "the pattern '(' cannot be used: missing )"),
        ({"regex": 3}, "regex wants a regular expression"),
        ({"path": "a", "regex": "("}, "the pattern '(' cannot be used"),
        ({"json": "missing.json"}, "cannot be read"),
        ({"json": {"type": "objekt"}}, "the schema is none at $.type: 'objekt'"),
        ({"json": 3}, "json wants true, a schema"),
        ({"not": {"contains": "x"}, "contains": "y"}, "stands alone"),
        ({"number": True}, "number wants a number"),
        ({"language": "xx"}, "language wants one of"),
        ({"python": "checks.py"}, "python wants"),
        ({"words": {"least": 3}}, "words wants"),
    ],
)
def test_a_check_that_cannot_be_read_is_named(written: Any, words: str) -> None:
    """The fault says what is wrong."""
    with pytest.raises(BadCheck, match=re.escape(words)):
        read_check(written, unread)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        ("1,234,567.5", 1234567.5),
        ("1,23", 23.0),
        ("x-5", 5.0),
        ("−7 °C", -7.0),
        (".5", 0.5),
        ("2e3", 2000.0),
    ],
)
def test_the_last_number(text: str, found: float | None) -> None:
    """Numbers are read as English writes them."""
    assert last_number(text) == found


@pytest.mark.parametrize(
    ("text", "among", "label"),
    [
        ("I think A cat is here", list("ABCD"), None),
        ("D.", list("ABCD"), "D"),
        ("b", list("ABCD"), "B"),
        ("Answer: (c)", list("ABCD"), "C"),
        ("I would go for B)", list("ABCD"), "B"),
        ("It is Negative!", ["positive", "negative"], "negative"),
        ("positive, not negative", ["positive", "negative"], None),
        ("very positive", ["positive", "very positive"], "very positive"),
    ],
)
def test_the_chosen_label(text: str, among: list[str], label: str | None) -> None:
    """A label is the whole answer, the marked one, or the only one."""
    assert chosen(text, among) == label


def test_an_answer_is_read_off_a_completion() -> None:
    """Text, finish, refusal, tool calls, tokens and the names of who answered."""
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    body = {
        "model": "m-1",
        "system_fingerprint": "fp",
        "choices": [
            {"finish_reason": "tool_calls", "message": {"content": None, "refusal": None, "tool_calls": [call]}}
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5},
    }
    found = read_completion(json.dumps(body).encode())
    assert found == ModelAnswer("", "tool_calls", None, (ToolUse("weather", "{}"),), "m-1", "fp", 3, 5)
    assert found.shown == "weather({})"
    for wrong in (b"", b"[]", b'{"choices": []}', b'{"choices": [{"message": null}]}'):
        with pytest.raises(ValueError, match="no chat completion"):
            read_completion(wrong)
