"""The one-token canary: the smallest question only a working engine can answer. Knows the paths, judges nothing."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Protocol

from local_models.replica.hang import CanaryAnswer
from runtime.contract.failures import HopError, Kind
from runtime.dialects.refusals import Subject, subject_of

_FULL = frozenset({429, 503, 529})
_BEST_FIRST = tuple(CanaryAnswer)

EMBEDS, RERANKS = "embeddings", "rerank"  # the operations of pooling models


class Probing(Protocol):
    """The part of a hop that a canary uses: one uncounted call beside /v1. Raises HopError."""

    async def probe(
        self, path: str, timeout_s: float, *, method: str = "GET", body: bytes = b""
    ) -> tuple[int, bytes]: ...


@dataclass(frozen=True, slots=True)
class CanaryQuestion:
    path: str
    body: bytes

    @property
    def pools(self) -> str:
        """The operation of a pooling model; empty for one that generates."""
        operation = self.path.removeprefix("/v1/")
        return operation if operation in (EMBEDS, RERANKS) else ""


def completion(model: str) -> CanaryQuestion:
    return CanaryQuestion("/v1/completions", _body(model=model, prompt="1", max_tokens=1, temperature=0))


def log_probabilities(model: str) -> CanaryQuestion:
    """A warm-up, not a canary: log probabilities of the answer's token and of several tokens of the prompt.

    vLLM compiles for one row and for several separately.
    """
    return CanaryQuestion(
        "/v1/completions",
        _body(model=model, prompt="1 2 3 4", max_tokens=1, temperature=0, logprobs=1, prompt_logprobs=1),
    )


def chat(model: str) -> CanaryQuestion:
    return CanaryQuestion(
        "/v1/chat/completions", _body(model=model, messages=[{"role": "user", "content": "1"}], max_tokens=1)
    )


def embedding(model: str) -> CanaryQuestion:
    return CanaryQuestion(f"/v1/{EMBEDS}", _body(model=model, input="1"))


def rerank(model: str) -> CanaryQuestion:
    return CanaryQuestion(f"/v1/{RERANKS}", _body(model=model, query="1", documents=["1"]))


def _body(**members: object) -> bytes:
    return json.dumps(members).encode()


@dataclass(frozen=True, slots=True)
class CanaryOutcome:
    """good: it really answered, and did not refuse. words: for a cause."""

    answer: CanaryAnswer
    good: bool
    words: str


async def ask(hop: Probing, question: CanaryQuestion, timeout_s: float, times: int = 1) -> CanaryOutcome:
    """The best of `times` answers, asked for at once: behind a balancer each may come from another engine."""
    outcomes = await asyncio.gather(*[_asked(hop, question, timeout_s) for _ in range(times)])
    return min(outcomes, key=lambda outcome: (not outcome.good, _BEST_FIRST.index(outcome.answer)))


async def _asked(hop: Probing, question: CanaryQuestion, timeout_s: float) -> CanaryOutcome:
    try:
        status, body = await hop.probe(question.path, timeout_s, method="POST", body=question.body)
    except HopError as error:
        answer = CanaryAnswer.SILENT if error.failure.kind is Kind.SILENT else CanaryAnswer.BROKEN
        return CanaryOutcome(answer, False, error.failure.message)
    words = f"{question.path} answered {status}: {body[:200].decode('utf-8', 'replace')}"
    if subject_of(words) is Subject.EMPTY:  # the balancer lives, and has no engine
        answer = CanaryAnswer.BROKEN
    elif status in _FULL:
        answer = CanaryAnswer.BUSY
    elif status >= 500:
        answer = CanaryAnswer.BROKEN
    else:  # a 4xx is the server's own refusal: it lives, and this canary is not for it
        answer = CanaryAnswer.GIVEN
    return CanaryOutcome(answer, 200 <= status < 300, words)
