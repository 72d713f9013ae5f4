"""The name of a conversation: the hint, the stored chain, or its beginning; and what in it belongs to one model."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.routing.facts.facts import Facts, Within
from runtime.routing.facts.hints import read_hints
from runtime.routing.facts.query import read_query
from runtime.routing.facts.tokens import TokenEstimate

ASKED = {"role": "user", "content": "Which of these is cheaper?"}
SAID = {"role": "assistant", "content": "The first."}
NEXT = {"role": "user", "content": "Why?"}
RULES = {"role": "system", "content": "Be brief."}
MEDIA = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}


def facts(*messages: Any, dialect: str = "openai_chat", caller: str = "k", chain: str = "", **body: Any) -> Facts:
    member = "input" if dialect == "openai_responses" else "messages"
    given = {"model": "auto", member: list(messages), **body}
    hints = read_hints(given, {})
    return read_query(dialect, given, hints, {}, TokenEstimate(), Within(caller, chain)).facts


@pytest.mark.parametrize("dialect", ["openai_chat", "anthropic_messages", "openai_responses"])
def test_turns_of_a_conversation_share_a_name(dialect: str) -> None:
    """Its system prompt and the first user turn, whatever follows. Only later turns continue it."""
    first, second = facts(ASKED, dialect=dialect), facts(ASKED, SAID, NEXT, dialect=dialect)
    assert first.session == second.session != 0
    assert (first.continued, second.continued) == (False, True)
    assert facts(NEXT, dialect=dialect).session != first.session


def test_a_first_turn_without_text_names_it_as_well() -> None:
    """Media are counted."""
    assert facts(RULES, MEDIA).session == facts(RULES, MEDIA, SAID, NEXT).session
    assert facts(RULES, MEDIA).session != facts(RULES, {"role": "user", "content": []}).session


def test_the_system_prompt_belongs_to_the_name() -> None:
    """In a message, and beside the messages; but for the line that an agent writes for its vendor's accounts."""
    assert facts(RULES, ASKED).session != facts(ASKED).session
    named = [
        facts(ASKED, dialect="anthropic_messages", system=[{"type": "text", "text": text} for text in system])
        for system in (["x-anthropic-billing-header: cch=1;", "A"], ["x-anthropic-billing-header: cch=2;", "A"], ["B"])
    ]
    assert named[0].session == named[1].session != named[2].session


def test_the_middle_of_a_long_beginning_counts() -> None:
    """Texts are seen up to a bound, and their length stands for the rest."""
    long = [{"role": "user", "content": "a " * 4_000 + "b " * more + "c " * 4_000} for more in (0, 50)]
    assert facts(long[0]).session != facts(long[1]).session


def test_no_name_is_shared_between_callers() -> None:
    """Neither a beginning, nor a hint, nor a chain."""
    for more in ({}, {"hearth": {"session": "s"}}, {"chain": "dec_1"}):
        assert facts(ASKED, caller="k", **more).session != facts(ASKED, caller="l", **more).session


def test_the_hint_comes_before_the_chain_and_the_chain_before_the_beginning() -> None:
    """A named conversation may be known on its first turn here. A hint and a chain of one spelling are two names."""
    hinted = facts(ASKED, chain="x", hearth={"session": "s"})
    assert hinted.session == facts(NEXT, hearth={"session": "s"}).session and hinted.continued
    chained = facts(ASKED, chain="s")
    assert chained.session == facts(NEXT, chain="s").session != hinted.session and chained.continued
    assert chained.session == Within("k", "s").chained


@pytest.mark.parametrize("dialect", ["openai_completions", "openai_embeddings", "anthropic_count_tokens"])
def test_what_is_no_conversation_moves_with_none(dialect: str) -> None:
    """With a hint neither. The demands of a session hold for it all the same."""
    body = {"model": "auto", "prompt": "x", "input": "x", "messages": [ASKED], "hearth": {"session": "s"}}
    found = read_query(dialect, body, read_hints(body, {}), {}, TokenEstimate()).facts
    assert found.session == 0
    assert found.continued and found.restricted == facts(ASKED, caller="", hearth={"session": "s"}).restricted


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "abc"}


@pytest.mark.parametrize(
    ("dialect", "turn", "signed"),
    [
        ("openai_chat", {**SAID, "tool_calls": [CALL]}, False),
        ("openai_chat", {**SAID, "tool_calls": [CALL, {**CALL, "extra_content": {"google": {}}}]}, True),
        ("openai_chat", {**SAID, "extra_content": {"hearth": {}}}, True),
        ("anthropic_messages", {**SAID, "content": [THOUGHT]}, True),
        ("anthropic_messages", {**SAID, "content": [THOUGHT | {"signature": ""}]}, False),
        ("anthropic_messages", {**SAID, "content": [{"type": "redacted_thinking", "data": "abc"}]}, True),
        ("openai_responses", {"type": "reasoning", "summary": [], "encrypted_content": "abc"}, True),
        ("openai_responses", {"type": "reasoning", "summary": [], "encrypted_content": None}, False),
    ],
)
def test_signed_state_is_seen(dialect: str, turn: dict[str, Any], signed: bool) -> None:
    """Signatures, redacted and encrypted reasoning."""
    assert facts(ASKED, turn, NEXT, dialect=dialect).signed is signed


def test_junk_is_nobodys_signature() -> None:
    """Members of unexpected types count as nothing."""
    for calls in ("extra_content", {"extra_content": 1}, [None, "extra_content"], 7):
        assert not facts(ASKED, {**SAID, "tool_calls": calls}, NEXT).signed
