"""Facts may be kept and text may not: what serialising, printing and logging a request show."""

from __future__ import annotations

import msgspec
import pytest

from runtime.routing.facts.facts import LONGEST_NAME, Facts
from runtime.routing.facts.query import RoutingQuery
from tests.runtime.routing.boxes import chat, query_of

SECRETS = (
    "sk-live-4711",
    "Basic aGVhcnRoOnNlY3JldA==",
    "my diagnosis",
    "the launch code",
    "customer 90210",
    "zebra-42",
)


@pytest.fixture
def query() -> RoutingQuery:
    """A request with keys in its headers and private words wherever a client can put them."""
    body = chat(
        "my diagnosis is this: " + "word " * 100,
        metadata={"who": "customer 90210"},
        user="customer 90210",
        tools=[{"type": "function", "function": {"name": "f", "description": "the launch code"}}],
        structured_outputs={"choice": ["zebra-42", "other"]},
        response_format={"type": "json_schema", "json_schema": {"name": "zebra-42", "schema": {}}},
        stop=["zebra-42"],
        hearth={"requires": ["hipaa"], "session": "s1"},
    )
    headers = {"authorization": "Bearer sk-live-4711", "x-api-key": "sk-live-4711", "cookie": SECRETS[1]}
    return query_of(body, headers)


def test_facts_hold_neither_text_nor_keys(query: RoutingQuery) -> None:
    """Serialised or printed, they show numbers and names alone."""
    for shown in (msgspec.json.encode(query.facts).decode(), repr(query.facts)):
        assert [secret for secret in SECRETS if secret in shown] == []
        assert "word" not in shown


def test_facts_are_read_back_as_they_were(query: RoutingQuery) -> None:
    """A record of them is enough to have them again."""
    assert msgspec.json.decode(msgspec.json.encode(query.facts), type=Facts) == query.facts


def test_text_is_never_serialised(query: RoutingQuery) -> None:
    """Neither by itself nor inside the request it belongs to."""
    for value in (query, query.text):
        with pytest.raises(TypeError, match="unsupported"):
            msgspec.json.encode(value)


def test_a_request_in_a_log_line_shows_no_text(query: RoutingQuery) -> None:
    """Its repr shows sizes alone, also after task and language were read."""
    assert (query.task, query.language) == ("extraction", "en")
    assert [secret for secret in SECRETS if secret in repr(query)] == []
    assert "3 headers" in repr(query)


def test_task_and_score_are_read_when_asked_for(query: RoutingQuery) -> None:
    """A record takes what the decision needed, and costs no reading of its own."""
    before, score = query.already_read, query.score
    assert (before, query.already_read) == ((None, None), ("extraction", score))


def test_a_long_name_is_kept_cut() -> None:
    """A client's megabyte of name is no megabyte in a record."""
    assert query_of(chat(model="m" * LONGEST_NAME)).facts.model == "m" * LONGEST_NAME
    assert query_of(chat(model="m" * 1_000_000)).facts.model == "m" * LONGEST_NAME + "…"


def test_a_request_with_further_demands_keeps_what_is_known_of_it() -> None:
    """Its own demands, the local model's opinion, and the task and score that were read already."""
    query = query_of(chat("Prove that there are infinitely many primes.", hearth={"requires": ["zdr"]})).changed(
        opinion=0.9
    )
    read = (query.task, query.score)
    more = query.demanding(frozenset({"hipaa"}))
    assert more.facts.hints.requires == {"zdr", "hipaa"} and query.facts.hints.requires == {"zdr"}
    assert more.opinion == 0.9 and more.already_read == read
