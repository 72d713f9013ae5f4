"""What counts as a difference between two translations, and what a rule excuses. The run itself: tests/clients."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from scripts.differential import meaning, schemas, translators
from scripts.differential.__main__ import EXCEPTIONS
from scripts.differential.answers import answers
from scripts.differential.cases import MODELS, questions
from scripts.differential.comparison import ABSENT, IN_PLACE, Difference, differences
from scripts.differential.exceptions import Exempt, Finding, load
from scripts.differential.translators import Theirs, our_answer, ours

ASKED = [{"role": "user", "content": [{"type": "text", "text": "What?"}]}]


def messages(**more: Any) -> meaning.Meaning:
    return meaning.anthropic({"model": "m", "messages": ASKED} | more)


def generated(*parts: Any, **more: Any) -> meaning.Meaning:
    return meaning.gemini({"contents": [{"role": "user", "parts": list(parts)}]} | more)


def test_forms_that_mean_the_same_do_not_differ() -> None:
    """Texts as blocks or not, casings, enums in either case, what is so whether said or not."""
    assert differences(messages(), meaning.anthropic({"messages": [{"role": "user", "content": "What?"}]})) == []
    assert differences(messages(tool_choice={"type": "auto"}), messages()) == []
    file = {"mimeType": "image/png", "data": "AAAA"}
    theirs = generated({"inline_data": {"mime_type": "image/png", "data": "AAAA"}}, generation_config={"top_k": 3})
    assert differences(theirs, generated({"inlineData": file}, generationConfig={"topK": 3, "candidateCount": 1})) == []
    levels = ({"generationConfig": {"thinkingConfig": {"thinkingLevel": level}}} for level in ("low", "LOW"))
    assert differences(*(generated({"text": "a"}, **level) for level in levels)) == []


def test_ids_are_compared_by_what_they_pair() -> None:
    """How they are spelt means nothing; a result of another call does."""

    def loop(call: str, result: str) -> meaning.Meaning:
        called = {"type": "tool_use", "id": call, "name": "f", "input": {}}
        back = {"type": "tool_result", "tool_use_id": result, "content": "1"}
        turns = [{"role": "assistant", "content": [called]}, {"role": "user", "content": [back]}]
        return meaning.anthropic({"messages": turns})

    assert differences(loop("a", "a"), loop("b", "b")) == []
    found = {each.where for each in differences(loop("a", "a"), loop("b", "c"))}
    assert found == {"turns.items.result.name", "turns.items.result.id"}


@pytest.mark.parametrize(
    ("lost", "where"),
    [
        ({"system": "Be brief."}, "system.rest"),
        ({"stop_sequences": ["END"]}, "stop_sequences"),
        ({"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {"a": {}}}}]}, "tools"),
        ({"tool_choice": {"type": "any"}}, "choice"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking"),
        ({"output_config": {"format": {"schema": {"type": "object", "properties": {"a": {}}}}}}, "format"),
    ],
)
def test_what_is_lost_differs(lost: dict[str, Any], where: str) -> None:
    """Whatever it is, on either side."""
    assert [(each.where, each.ours) for each in differences(messages(**lost), messages())] == [(where, ABSENT)]
    assert [(each.where, each.theirs) for each in differences(messages(), messages(**lost))] == [(where, ABSENT)]


def test_an_instruction_that_kept_its_place_is_told_from_one_that_is_lost() -> None:
    """It stands among the turns, or nowhere."""
    inside = meaning.anthropic({"messages": [*ASKED, {"role": "user", "content": "In Latin."}]})
    moved = differences(messages(system="In Latin."), inside)
    assert Difference("system.rest", '["In Latin."]', IN_PLACE) in moved


def test_a_schema_means_what_it_allows() -> None:
    """References opened, spellings made one, circles ended."""
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}}
    assert schemas.plain({"$ref": "#/$defs/N", "$defs": {"N": {"type": "STRING"}}}) == {"type": "string"}
    assert schemas.plain({"const": 1}) == {"enum": [1]}
    assert schemas.plain({"type": "string", "nullable": True}) == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert schemas.plain({"$ref": "#/$defs/N", "$defs": {"N": node}})["properties"]["next"] == {"again": "N"}
    assert schemas.arguments({"type": "object", "properties": {}}) is None


RULE = Exempt("anthropic", "system*", '"*"', ABSENT, "because", date(2026, 11, 22), named=("name",))
FOUND = Finding(
    "request", "anthropic", "m", "case", Difference("system.rest", '"a"', ABSENT), named=frozenset({"name", "user"})
)


def test_a_rule_fits_where_all_of_it_does() -> None:
    """Wire, place, both sides, what the client said, and what it was told."""
    assert RULE.fits(FOUND)
    assert not replace(RULE, wire="gemini").fits(FOUND)
    assert not replace(RULE, ours='"*"').fits(FOUND)
    assert not replace(RULE, given=("tools",)).fits(FOUND)
    assert replace(RULE, given=("tools",)).fits(replace(FOUND, given=frozenset({"tools"})))
    assert not replace(RULE, left_out=("tools",)).fits(replace(FOUND, given=frozenset({"tools"})))
    assert not RULE.fits(replace(FOUND, named=frozenset()))


def test_the_file_of_exceptions_reads() -> None:
    """Every rule has its reason and the day it was looked at; none excuses everything."""
    rules = load(EXCEPTIONS)
    assert len(set(rules)) == len(rules) > 50
    assert all(len(rule.why) > 10 and rule.reviewed >= date(2026, 11, 22) for rule in rules)
    assert all(rule.where.strip("*.") for rule in rules)


def test_every_question_and_answer_of_our_own_can_be_read() -> None:
    """Whatever Hearth makes of them has a meaning."""
    for question in questions():
        for wire, models in MODELS.items():
            told = [ours(wire, model, question.request) for model in models]
            assert all(meaning.REQUESTS[wire](each.body)["turns"] for each in told if each.body), question.name
    for answer in answers():
        told = [our_answer(answer.wire, answer.stream)]
        assert all("finish" in meaning.answer(each.body) for each in told if each.body), answer.name


def test_a_translator_that_stops_is_begun_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whether it hangs or ends; one that never answers is an error."""
    program, begun = tmp_path / "program.py", tmp_path / "begun"
    program.write_text(
        "import pathlib, sys, time\n"
        f"begun = pathlib.Path({str(begun)!r})\n"
        "begun.write_text(begun.read_text() + 'x' if begun.exists() else 'x')\n"
        "sys.stdin.readline()\n"
        "if begun.read_text() == 'x': time.sleep(60)\n"
        "if begun.read_text() == 'xxx': print('{\"body\": 1}', flush=True)\n"
    )
    monkeypatch.setattr(translators, "PROGRAM", program)
    with Theirs(Path(sys.executable), tmp_path / "log", patience=2) as theirs:
        assert theirs.asked("anthropic", "m", {}).body == 1
        with pytest.raises(RuntimeError, match="does not answer"):
            theirs.asked("anthropic", "m", {})
