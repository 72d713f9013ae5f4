"""Questions with known answers: which lines are questions, and which texts are right."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.cli.bulk.questions import QuestionError, question_of


def right(text: str, **line: Any) -> bool:
    return question_of(json.dumps({"prompt": "?", **line})).right(text)


@pytest.mark.parametrize(
    ("line", "yes", "no"),
    [
        ({"answer": "Paris"}, ["Paris", "It is paris.", "PARIS!"], ["Parisian", "", "Lyon"]),
        ({"answer": "New Delhi"}, ["The capital is New Delhi."], ["Delhi is new", "New, or Delhi?x"]),
        ({"answer": ["12", "twelve"]}, ["7 + 5 = 12", "It is twelve.", "12.0"], ["12 + 1 = 13", "120", ""]),
        ({"answer": "1200"}, ["1,200 metres", "-3 and 1200"], ["1,201"]),
        ({"answer": "-4"}, ["The sum is -4."], ["4"]),
        ({"answer": "a b", "match": "exact"}, ["A b.", '"a b"'], ["a b c", "a"]),
        ({"answer": "12", "match": "contains"}, ["12 + 1 = 13"], ["120"]),
        (
            {"labels": ["good", "bad"], "label": "bad"},
            ["Bad.", "It is bad, not good"],
            ["good", "neither", "good or bad"],
        ),
        ({"labels": ["spam", "spam like"], "label": "spam like"}, ["spam like"], ["spam"]),
    ],
)
def test_right_answers(line: dict[str, Any], yes: list[str], no: list[str]) -> None:
    """Case and punctuation never count."""
    assert [text for text in yes if not right(text, **line)] == []
    assert [text for text in no if right(text, **line)] == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nothing", "not a question"),
        ("[]", "not a question"),
        ('{"answer": "x"}', "prompt"),
        ('{"prompt": "?", "body": {}, "answer": "x"}', "prompt"),
        ('{"prompt": "?"}', "answer"),
        ('{"prompt": "?", "answer": []}', "answer"),
        ('{"prompt": "?", "answer": "x", "labels": ["x"], "label": "x"}', "answer"),
        ('{"prompt": "?", "labels": ["a"], "label": "b"}', "not among"),
        ('{"prompt": "?", "answer": "x", "match": "like"}', "not a question"),
        ('{"prompt": "?", "answer": "x", "match": "number"}', "number"),
    ],
)
def test_bad_lines_say_what_is_wrong(line: str, words: str) -> None:
    """In words for whoever wrote the file."""
    with pytest.raises(QuestionError, match=words):
        question_of(line)


def test_the_body_is_the_lines_own_but_for_what_must_be() -> None:
    """The model and what is asked besides replace its members; a limit of its own stays."""
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "model": "auto", "top_p": 0.5}
    found = question_of(json.dumps({"body": body, "answer": "x"})).asked("local", 64, {"stream": True})
    assert found == {**body, "model": "local", "stream": True}
    plain = question_of('{"prompt": "hi", "answer": "x"}').asked("local", 64, {})
    assert plain == {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 64, "model": "local"}
