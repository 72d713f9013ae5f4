"""A chat completion's answer as far as scoring needs it: the text, and the tokens that could have stood at every step.

Knows the wire; knows nothing of labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

_IMPOSSIBLE = -9000.0  # vLLM writes -9999 for a token its grammar forbids


class AnswerError(ValueError):
    """An answer that cannot be scored, in words that say why."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token that could have stood.

    text: "" for a token that ends inside a character; logprob: natural logarithm.
    """

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Step:
    """One generated token and, in `others`, the possible ones that were listed beside it."""

    taken: Token
    others: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """text: all that was generated. ended: it ended by itself, not by the token limit."""

    text: str
    steps: tuple[Step, ...]
    ended: bool
    model: str


class _Top(msgspec.Struct):
    token: str
    logprob: float


class _Content(msgspec.Struct):
    token: str
    logprob: float
    top_logprobs: list[_Top] = []


class _Logprobs(msgspec.Struct):
    content: list[_Content] | None = None


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    model: str = ""


_decoder = msgspec.json.Decoder(_Completion)


def decode(body: bytes) -> Answer:
    """The answer in a chat completion's body. Raises AnswerError."""
    try:
        completion = _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise AnswerError(f"not a chat completion: {error}") from error
    if not completion.choices:
        raise AnswerError("a chat completion without choices")
    choice = completion.choices[0]
    if choice.finish_reason not in ("stop", "length"):
        raise AnswerError(f"the engine broke the answer off ({choice.finish_reason})")
    content = choice.logprobs.content if choice.logprobs is not None else None
    if not content:
        raise AnswerError("the answer has no logprobs: the engine must return them")
    steps = tuple(_step(entry) for entry in content)
    return Answer(choice.message.content or "", steps, choice.finish_reason == "stop", completion.model)


def _step(entry: _Content) -> Step:
    """The taken token is listed among the top ones too, once; several tokens may share the text ""."""
    others = [Token(top.token, top.logprob) for top in entry.top_logprobs if top.logprob > _IMPOSSIBLE]
    taken = Token(entry.token, entry.logprob)
    if taken in others:
        others.remove(taken)
    return Step(taken, tuple(others))
