"""Chat completions as far as scoring needs them: the tokens of an answer or of a prompt, by id, with their probabilities.

Knows the wire; knows nothing of labels. Tokens are asked for as ids ("token_id:17"): the text of a token that ends inside a
character does not tell which it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

_IMPOSSIBLE = -9000.0  # vLLM writes -9999 for a token its grammar forbids
_ID = "token_id:"


class AnswerError(ValueError):
    """An answer that cannot be scored, in words that say why."""


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """One generated token, and the natural logarithms of the probabilities listed beside it, its own included."""

    taken: int
    listed: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """text: all that was generated."""

    text: str
    steps: tuple[ScoredToken, ...]
    model: str


@dataclass(frozen=True, slots=True)
class Spelling:
    """The tokens of a prompt below its first: ids, and texts ("" or a replacement character inside a character)."""

    ids: tuple[int, ...]
    texts: tuple[str, ...]
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


class _Scored(msgspec.Struct):
    decoded_token: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    model: str = ""
    prompt_logprobs: list[dict[str, _Scored] | None] | None = None


_decoder = msgspec.json.Decoder(_Completion)


def decode(body: bytes) -> ScoredAnswer:
    """The answer in a chat completion's body. Raises AnswerError."""
    completion = _completion(body)
    choice = completion.choices[0]
    if choice.finish_reason not in ("stop", "length"):
        raise AnswerError(f"the engine broke the answer off ({choice.finish_reason})")
    content = choice.logprobs.content if choice.logprobs is not None else None
    if not content:
        raise AnswerError("the answer has no logprobs: the engine must return them")
    tokens = []
    for entry in content:
        listed = {_id(top.token): top.logprob for top in entry.top_logprobs if top.logprob > _IMPOSSIBLE}
        taken = _id(entry.token)
        tokens.append(ScoredToken(taken, {**listed, taken: entry.logprob}))
    return ScoredAnswer(choice.message.content or "", tuple(tokens), completion.model)


def decode_prompt(body: bytes) -> Spelling:
    """The prompt's own tokens, from its `prompt_logprobs`. Raises AnswerError."""
    completion = _completion(body)
    listed = [
        next(iter(entry.items())) for entry in completion.prompt_logprobs or () if entry
    ]  # its own token is first
    if not listed:
        raise AnswerError("the answer has no prompt_logprobs: the engine must return them")
    ids = tuple(int(token) for token, _ in listed)
    return Spelling(ids, tuple(entry.decoded_token or "" for _, entry in listed), completion.model)


def _completion(body: bytes) -> _Completion:
    try:
        completion = _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise AnswerError(f"not a chat completion: {error}") from error
    if not completion.choices:
        raise AnswerError("a chat completion without choices")
    return completion


def _id(token: str) -> int:
    if not token.startswith(_ID):
        raise AnswerError("the answer names tokens by their text: the engine must support return_tokens_as_token_ids")
    return int(token[len(_ID) :])
