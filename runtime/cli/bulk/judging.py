"""One question answered by the local model: its first tokens' features, and whether the answer is right.

The answer is read as a stream, exactly as a request's is while its confidence is looked at, so that the map fits what it will
be asked about.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from local_models.classification.answer import AnswerError
from runtime.cli.bulk.patience import Patience, UnanswerableError
from runtime.cli.bulk.questions import QuestionError, question_of
from runtime.dialects.openai_chat.early_tokens import FEWEST, TOP, EarlyToken, EarlyTokens
from runtime.routing.confidence import FEATURES, features_of
from runtime.wire import sse

RIGHT, WRONG = "right", "wrong"
_LOGGED = {"stream": True, "logprobs": True, "top_logprobs": TOP, "n": 1}
_SHOWN = 200  # characters of an answer that are kept
_ENDED = frozenset({"stop", "length", "tool_calls"})


@dataclass(frozen=True, slots=True)
class EarlyAnswer:
    """text: all of it. tokens: the first ones. finish: the reason, where the answer ended within them."""

    text: str
    tokens: tuple[EarlyToken, ...]
    finish: str | None
    model: str


class _Choice(msgspec.Struct):
    delta: dict[str, Any] = {}
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    model: str = ""
    error: Any = None


_chunk = msgspec.json.Decoder(_Chunk)


def early_answer(body: bytes) -> EarlyAnswer:
    """The answer in the bytes of a whole stream. Raises AnswerError."""
    early, texts, finish, model = EarlyTokens(TOP), list[str](), None, ""
    try:
        for event in sse.Events().feed(early.feed(body)):
            if event.data is None or event.data == b"[DONE]":
                continue
            chunk = _chunk.decode(event.data)
            if chunk.error is not None:
                raise AnswerError(f"the engine broke the answer off: {chunk.error}")
            model = model or chunk.model
            for choice in chunk.choices:
                texts.append(choice.delta.get("content") or "")
                finish = choice.finish_reason or finish
    except (msgspec.DecodeError, sse.EventTooLongError) as error:
        raise AnswerError(f"the answer is no stream of chunks: {error}") from error
    if finish not in _ENDED:
        raise AnswerError(f"the engine broke the answer off ({finish})")
    within = len(early.tokens) < FEWEST
    return EarlyAnswer("".join(texts), tuple(early.tokens), finish if within else None, model)


@dataclass(slots=True)
class Judge:
    """A `runtime.cli.bulk.job.RowAnswers`."""

    patience: Patience
    job: JudgingJob
    further: int = 0

    async def fields(self, text: str) -> dict[str, Any]:
        """The members of a question's line. text: the line of the file. Raises UnanswerableError and HopelessError."""
        try:
            question = question_of(text)
        except QuestionError as error:
            raise UnanswerableError("no_question", str(error)) from error
        body = question.asked(self.job.model, self.job.max_tokens, {**_LOGGED, "temperature": self.job.temperature})
        found = await self.patience.answer(msgspec.json.encode(body), early_answer)
        if not found.tokens:
            raise UnanswerableError("no_logprobs", "the engine gave no log probabilities of its answer")
        return {
            "label": RIGHT if question.right(found.text) else WRONG,
            "features": [round(value, 6) for value in features_of(found.tokens, found.finish)],
            "answer": found.text[:_SHOWN],
        }


@dataclass(frozen=True, slots=True)
class JudgingJob:
    """A `runtime.cli.bulk.job.RowQuestion`: is the model's answer right. max_tokens: of an answer."""

    model: str
    max_tokens: int
    temperature: float

    @property
    def labels(self) -> tuple[str, ...]:
        return (RIGHT, WRONG)

    @property
    def fingerprint(self) -> str:
        said = [self.max_tokens, self.temperature, FEATURES, FEWEST, TOP]
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()

    async def prepared(self, patience: Patience) -> Judge:
        """Tried on one question. Raises NoRuntimeError, UnanswerableError and HopelessError."""
        judge = Judge(patience, self)
        question = b'{"prompt":"What is the capital of France?","answer":"Paris"}'
        await patience.reached(msgspec.json.encode({"model": self.model, "max_tokens": 1, "messages": _HELLO}))
        await judge.fields(question.decode())
        return judge


_HELLO = [{"role": "user", "content": "Hello"}]
