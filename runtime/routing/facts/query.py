"""A request as a decision sees it: facts that may be kept and text that may not, read off the parsed body.

Text is counted by its length and looked at only up to a bound, so that a 100 kB prompt costs little more than a 2 kB
one. Reading never raises on a strange body: the door and the engine judge whether a body is valid. Each dialect has its
reader in a table; a new dialect is a new row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import msgspec

from runtime.routing.facts.facts import ALONE, Facts, Within, facts_of
from runtime.routing.facts.hints import Hints
from runtime.routing.facts.language import language_of
from runtime.routing.facts.scan import (
    PromptScan,
    read_chat,
    read_completions,
    read_embeddings,
    read_messages,
    read_rerank,
    read_responses,
)
from runtime.routing.facts.scores import moving_words, score_of
from runtime.routing.facts.tasks import CHAT, MULTIMODAL, TOOL, task_of
from runtime.routing.facts.tokens import TokenEstimate

_TURNS = 4  # of the user's, looked at for a task
_NONE: Mapping[str, str] = MappingProxyType({})


class PromptText:
    """The client's words, headers and metadata, for the length of one request.

    A plain class on purpose: msgspec refuses to encode it, and its repr shows sizes alone, so that neither a record nor
    a log line can hold a prompt or a key by mistake.

    sample: beginning and end of the whole text. turns: of the user's messages, the latest first. All are bounded. headers:
    lower-case names.
    """

    __slots__ = ("headers", "metadata", "sample", "turns")

    def __init__(
        self,
        sample: str = "",
        turns: Sequence[str] = (),
        headers: Mapping[str, str] = _NONE,
        metadata: Mapping[str, str] = _NONE,
    ) -> None:
        self.sample = sample
        self.turns = turns
        self.headers = headers
        self.metadata = metadata

    @property
    def ask(self) -> str:
        """The user's last words; all of the text where no message is the user's."""
        return self.turns[0] if self.turns else self.sample

    def __repr__(self) -> str:
        return f"PromptText({len(self.sample)} characters, {len(self.headers)} headers, {len(self.metadata)} metadata)"


class RoutingQuery(msgspec.Struct, frozen=True, dict=True):
    """Facts and text of one request. Task, score and language are worked out from the text when first asked for.

    opinion: the probability that it is hard for the local model, in that model's own view; None where it was not asked.
    """

    facts: Facts
    text: PromptText
    opinion: float | None = None

    @cached_property
    def head(self) -> str:
        """The sample in lower case, for keyword rules."""
        return self.text.sample.lower()

    @cached_property
    def task(self) -> str:
        """One of the settings' closed list; `tasks` says how it is known."""
        facts = self.facts
        if facts.tool_result:
            return TOOL
        if facts.media_asked:
            return MULTIMODAL
        found = task_of(self.text.turns, facts.attached, labelled=facts.labelled)
        return MULTIMODAL if facts.media and found == CHAT else found  # an earlier image is still talked about

    @cached_property
    def score(self) -> float:
        """Percentile in [0, 1) on the reference sample, whatever the task."""
        return score_of(self.text.ask, self.task)

    def moving_words(self) -> tuple[tuple[str, float], ...]:
        """The words that move the score most, for an explanation: they are the client's own."""
        return moving_words(self.text.ask, self.task)

    @cached_property
    def language(self) -> str | None:
        return language_of(self.text.sample, self.head)

    def changed(self, *, facts: Facts | None = None, opinion: float | None = None) -> RoutingQuery:
        """The same text with other facts or another opinion. What was read off it already is not read again."""
        made = RoutingQuery(facts or self.facts, self.text, self.opinion if opinion is None else opinion)
        made.__dict__.update(self.__dict__)
        return made

    def demanding(self, more: frozenset[str]) -> RoutingQuery:
        """The same request with these certificates demanded besides its own."""
        hints = replace(self.facts.hints, requires=self.facts.hints.requires | more)
        return self.changed(facts=msgspec.structs.replace(self.facts, hints=hints))

    @property
    def already_read(self) -> tuple[str | None, float | None]:
        """Task and score if the decision needed them, else None: writing a record never costs a reading."""
        return self.__dict__.get("task"), self.__dict__.get("score")


_READERS: dict[str, Callable[[Mapping[str, Any]], PromptScan]] = {
    "openai_chat": read_chat,
    "openai_completions": read_completions,
    "openai_embeddings": read_embeddings,
    "rerank": read_rerank,
    "anthropic_messages": read_messages,
    "anthropic_count_tokens": read_messages,
    "openai_responses": read_responses,
}


def read_query(
    dialect: str,
    body: Mapping[str, Any],
    hints: Hints,
    headers: Mapping[str, str],
    tokens: TokenEstimate,
    within: Within = ALONE,
) -> RoutingQuery:
    """Facts and text of a body. Raises KeyError for an unknown dialect, and nothing for any body."""
    scan = _READERS[dialect](body)
    given = body.get("metadata")
    metadata = {str(k): text for k, text in given.items() if isinstance(text, str)} if isinstance(given, dict) else {}
    return RoutingQuery(
        facts_of(dialect, body, hints, scan, tokens, within),
        PromptText(scan.sample, scan.turns[: -_TURNS - 1 : -1], headers, metadata),
    )
