"""The rule of the settings that a request matches, and the route it takes. The first rule that matches decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.routing.facts.query import RoutingQuery
from runtime.settings import Routes, Rule, When


def first_match(query: RoutingQuery, rules: Sequence[Rule]) -> tuple[int, Rule] | None:
    """The first rule that matches and names targets, with its number, counted from 1."""
    for number, rule in enumerate(rules, start=1):
        if rule.to and matches(query, rule.when):
            return number, rule
    return None


def demanded(query: RoutingQuery, rules: Sequence[Rule]) -> frozenset[str]:
    """The certificates that rules demand of a request: of every rule that matches, for none may be lost to another."""
    return frozenset([each for rule in rules if rule.requires and matches(query, rule.when) for each in rule.requires])


def matches(query: RoutingQuery, when: When) -> bool:
    """True if every condition that `when` sets holds."""
    facts, text = query.facts, query.text
    return (
        (when.task is None or when.task == query.task)
        and (when.min_tokens is None or facts.prompt_tokens >= when.min_tokens)
        and (when.model is None or when.model == facts.model)
        and (when.language is None or when.language.lower() == query.language)
        and _holds(text.metadata, when.metadata)
        and _holds(text.headers, {name.lower(): value for name, value in when.header.items()})
        and (not when.keywords or any(holds_word(query.head, keyword.lower()) for keyword in when.keywords))
    )


def _holds(given: Mapping[str, str], wanted: Mapping[str, Any]) -> bool:
    return all(given.get(name) == value for name, value in wanted.items())


def holds_word(text: str, keyword: str) -> bool:
    """True if a text holds a keyword as words of its own: "art" is not in "start". Scripts without spaces have no
    such edges.
    """
    place = text.find(keyword)
    while place >= 0:
        end = place + len(keyword)
        if not (_joined(text[place - 1 : place], keyword[:1]) or _joined(keyword[-1:], text[end : end + 1])):
            return True
        place = text.find(keyword, place + 1)
    return False


def _joined(left: str, right: str) -> bool:
    """True if two neighbouring characters belong to one word. Either may be missing."""
    pair = left + right
    return len(pair) == 2 and pair.isascii() and pair.isalnum()


def words_of(number: int, rule: Rule) -> str:
    """A rule in words: "rule 2 (task code, at least 500 tokens)"."""
    when = rule.when
    conditions = [
        *([f"task {when.task}"] if when.task else ()),
        *([f"at least {when.min_tokens} tokens"] if when.min_tokens is not None else ()),
        *([f"model {when.model}"] if when.model else ()),
        *([f"language {when.language}"] if when.language else ()),
        *(f"header {name}" for name in when.header),
        *(f"metadata {name}" for name in when.metadata),
        *(["keywords"] if when.keywords else ()),
    ]
    return f"rule {number} ({', '.join(conditions)})" if conditions else f"rule {number} (every request)"


def route_targets(
    query: RoutingQuery, routes: Routes, configured: Sequence[str], context_tokens: int, *, scored: bool = False
) -> tuple[str, ...]:
    """Names of the targets that take a request off the box, in order. scored: it leaves for its score.

    A capability the target needs comes before a strength it has. Those of `default` stand behind the fitting route; with no
    `default`, every configured target.
    """
    facts = query.facts
    if facts.media:
        own = routes.multimodal
    elif (facts.longest or facts.prompt_tokens) > context_tokens:
        own = routes.long_context
    else:
        own = routes.code if routes.code and query.task == "code" else ()
    by_score = routes.complex if scored else ()
    return tuple(dict.fromkeys((*own, *by_score, *(routes.default or configured))))
