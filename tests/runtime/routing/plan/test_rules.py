"""Rules match what they say and ask nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.routing.plan.rules import demanded, first_match, holds_word, matches
from runtime.settings import Rule, When
from tests.runtime.routing.boxes import chat, query_of

BODY = chat("Bitte prüfe den Vertrag und sage mir, wie die Frist ist.", model="gpt-4o", metadata={"tier": "gold"})
HEADERS = {"x-team": "web"}


@pytest.mark.parametrize(
    ("when", "hit"),
    [
        ({}, True),
        ({"task": "chat"}, True),
        ({"task": "code"}, False),
        ({"header": {"X-Team": "web"}}, True),
        ({"header": {"x-team": "app"}}, False),
        ({"header": {"x-other": "web"}}, False),
        ({"min_tokens": 10}, True),
        ({"min_tokens": 500}, False),
        ({"keywords": ("Frist", "deadline")}, True),
        ({"keywords": ("Fris",)}, False),
        ({"model": "gpt-4o"}, True),
        ({"model": "auto"}, False),
        ({"metadata": {"tier": "gold"}}, True),
        ({"metadata": {"tier": "free"}}, False),
        ({"language": "de"}, True),
        ({"language": "en"}, False),
        ({"language": "de", "model": "auto"}, False),
    ],
)
def test_a_rule_matches_when_all_it_says_holds(when: dict[str, Any], hit: bool) -> None:
    """Every condition alone, and two together."""
    assert matches(query_of(BODY, HEADERS), When(**when)) is hit


def test_a_rule_without_targets_decides_nothing() -> None:
    """One that only requires a certificate leaves the request to the rules behind it."""
    rules = [Rule(when=When(), requires=("hipaa",)), Rule(when=When(), to=("local",))]
    assert first_match(query_of(BODY, HEADERS), rules) == (2, rules[1])


def test_every_rule_that_matches_binds_by_its_certificates() -> None:
    """The first rule decides where a request goes; no rule's demand is lost to it."""
    rules = [
        Rule(when=When(), to=("local",), requires=("zdr",)),
        Rule(when=When(), requires=("hipaa",)),
        Rule(when=When(model="another"), requires=("soc2",)),
    ]
    assert demanded(query_of(BODY, HEADERS), rules) == {"zdr", "hipaa"}


@pytest.mark.parametrize(
    ("text", "keyword", "hit"),
    [
        ("start the art class", "art", True),
        ("start", "art", False),
        ("c++ code", "c++", True),
        ("我们的合同在这里", "合同", True),
        ("end of art", "art", True),
        ("", "art", False),
    ],
)
def test_keywords_are_words(text: str, keyword: str, hit: bool) -> None:
    """Not parts of words, except where a script has no spaces."""
    assert holds_word(text, keyword) is hit
