"""The facts of a request, read cheaply off the parsed body, without building messages.

Text is counted by its length and looked at only up to a bound, so that a 100 kB prompt costs little more than a 2 kB
one. Reading never raises on a strange body: whether a body is valid is the door's question and the engine's. One reader
per dialect, in a table; a new dialect is a new row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from runtime.contract.targets import TEXT
from runtime.routing.facts.content import (
    Content,
    read_chat,
    read_completions,
    read_embeddings,
    read_messages,
    read_responses,
)
from runtime.routing.facts.hints import NO_HINTS, BadHint, Hints, read_hints
from runtime.routing.facts.scores import score_of
from runtime.routing.facts.tasks import language_of, task_of, words_of
from runtime.routing.facts.tokens import TokenEstimate
from runtime.wire import limits

__all__ = ["BadHint", "Facts", "Hints", "count_tokens", "read_facts", "read_hints"]

_MOST_TOKENS = 1 << 40  # a number in a body can have a thousand digits


class Facts(msgspec.Struct, frozen=True, dict=True):
    """What a decision may look at. What the text itself tells (task, score, language, head) is read when it is asked for.

    model: as the client wrote it. prompt_tokens: estimated, media and tools included. max_tokens: as asked, None where
    not.
    plain: tokens of the text for an average tokenizer; what `TokenEstimate.learn` takes. media: whether there is more
    than text.
    sample: the beginning and the end of the text, bounded. ask: what the user said last, bounded. labelled: the answer is
    one of a closed list. headers: lower-case names.
    """

    dialect: str
    model: str
    prompt_tokens: int
    max_tokens: int | None = None
    modalities: frozenset[str] = frozenset({TEXT})
    tools: bool = False
    structured: bool = False
    logprobs: bool = False
    n: int = 1
    stream: bool = False
    sample: str = ""
    ask: str = ""
    labelled: bool = False
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    metadata: Mapping[str, str] = msgspec.field(default_factory=dict)
    hints: Hints = NO_HINTS
    plain: float = 0.0

    @cached_property
    def head(self) -> str:
        """The sample in lower case, for keyword rules."""
        return self.sample.lower()

    @cached_property
    def _words(self) -> set[str]:
        return words_of(self.head)

    @cached_property
    def task(self) -> str:
        """code | extraction | math | chat."""
        return task_of(self.sample, self.head, self._words, labelled=self.labelled)

    @cached_property
    def score(self) -> float:
        """Percentile in [0, 1] on the reference sample; not acted upon yet."""
        return score_of(len(self.ask.split()))

    @cached_property
    def language(self) -> str | None:
        return language_of(self.sample, self._words)

    @property
    def told(self) -> tuple[str | None, float | None]:
        """Task and score as far as the decision had to read them: a record costs no second reading."""
        return self.__dict__.get("task"), self.__dict__.get("score")

    @property
    def media(self) -> bool:
        return len(self.modalities) > 1


_READERS: dict[str, Callable[[Mapping[str, Any]], Content]] = {
    "openai_chat": read_chat,
    "openai_completions": read_completions,
    "openai_embeddings": read_embeddings,
    "anthropic_messages": read_messages,
    "openai_responses": read_responses,
}


def read_facts(
    dialect: str, body: Mapping[str, Any], hints: Hints, headers: Mapping[str, str], tokens: TokenEstimate
) -> Facts:
    """The facts of a body in a dialect. Raises KeyError for a dialect it does not read, and nothing for any body."""
    content = _READERS[dialect](body)
    model = body.get("model")
    return Facts(
        dialect=dialect,
        model=model if isinstance(model, str) else "",
        prompt_tokens=tokens.of(content.plain) + content.media_tokens,
        max_tokens=_max_tokens(body),
        modalities=content.modalities,
        tools=bool(body.get("tools") or body.get("functions")),
        structured=_structured(body),
        logprobs=_logprobs(body),
        n=_whole(body.get("n")) or 1,
        stream=body.get("stream") is True,
        sample=content.sample,
        ask=content.ask,
        labelled=_labelled(body),
        headers=headers,
        metadata=_metadata(body.get("metadata")),
        hints=hints,
        plain=content.plain,
    )


def count_tokens(dialect: str, body: Mapping[str, Any], tokens: TokenEstimate) -> int:
    """Tokens of a body's prompt, estimated as for a decision; for a client that asks where no target counts."""
    content = _READERS[dialect](body)
    return tokens.of(content.plain) + content.media_tokens


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return min(value, _MOST_TOKENS)


def _max_tokens(body: Mapping[str, Any]) -> int | None:
    for name in limits.MEMBERS:
        if (limit := body.get(name)) is not None and (limit := _whole(limit)) is not None:
            return limit
    return None


def _structured(body: Mapping[str, Any]) -> bool:
    if body.get("structured_outputs"):
        return True
    wanted = body.get("response_format") or _inner_format(body) or body.get("output_format")
    return isinstance(wanted, dict) and wanted.get("type") in ("json_schema", "json_object")


def _inner_format(body: Mapping[str, Any]) -> Any:
    for config in (body.get("output_config"), body.get("text")):
        if config and isinstance(config, dict) and (found := config.get("format")):
            return found
    return None


def _logprobs(body: Mapping[str, Any]) -> bool:
    included = body.get("include")
    listed = isinstance(included, list) and "message.output_text.logprobs" in included
    return bool(body.get("logprobs") or body.get("top_logprobs") or listed)


def _labelled(body: Mapping[str, Any]) -> bool:
    """Whether the answer is one of a closed list of labels."""
    outputs = body.get("structured_outputs")
    return isinstance(outputs, dict) and bool(outputs.get("choice"))


def _metadata(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {str(name): text for name, text in value.items() if isinstance(text, str)}
