"""The one-token canary: the smallest question only a working engine can answer. Knows the paths, judges nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Protocol

from local_models.replica.hang import Answer
from runtime.contract.failures import HopError, Kind


class Probing(Protocol):
    """What a canary needs of a hop: one uncounted call beside /v1. Raises HopError."""

    async def probe(
        self, path: str, timeout_s: float, *, method: str = "GET", body: bytes = b""
    ) -> tuple[int, bytes]: ...


@dataclass(frozen=True, slots=True)
class Question:
    path: str
    body: bytes


def completion(model: str) -> Question:
    return Question("/v1/completions", _body(model=model, prompt="1", max_tokens=1, temperature=0))


def chat(model: str) -> Question:
    return Question(
        "/v1/chat/completions", _body(model=model, messages=[{"role": "user", "content": "1"}], max_tokens=1)
    )


def embedding(model: str) -> Question:
    return Question("/v1/embeddings", _body(model=model, input="1"))


def _body(**members: object) -> bytes:
    return json.dumps(members).encode()


@dataclass(frozen=True, slots=True)
class Outcome:
    """good: it really answered, and did not refuse. words: for a cause."""

    answer: Answer
    good: bool
    words: str


async def ask(hop: Probing, question: Question, timeout_s: float) -> Outcome:
    try:
        status, body = await hop.probe(question.path, timeout_s, method="POST", body=question.body)
    except HopError as error:
        answer = Answer.SILENT if error.failure.kind is Kind.SILENT else Answer.BROKEN
        return Outcome(answer, False, error.failure.message)
    words = f"{question.path} answered {status}: {body[:200].decode('utf-8', 'replace')}"
    return Outcome(_answer(status), 200 <= status < 300, words)


def _answer(status: int) -> Answer:
    """A 4xx is the server's own refusal: it lives, and this canary is not for it."""
    if status in (429, 503):
        return Answer.BUSY
    return Answer.BROKEN if status >= 500 else Answer.GIVEN
