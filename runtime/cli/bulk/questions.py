"""Questions whose right answers are known, as lines of a JSONL file: what is asked, and whether an answer is right. Pure.

    {"prompt": "What is the capital of France?", "answer": "Paris"}
    {"prompt": "7 + 5 = ?", "answer": ["12", "twelve"]}
    {"prompt": "Is this praise or blame? …", "labels": ["praise", "blame"], "label": "blame"}
    {"body": {"messages": […], "max_tokens": 20}, "answer": "Paris", "match": "exact"}

`prompt` is one user turn, `body` a whole chat body. `match` says when an answer in words is right: "contains" (its words stand
in the text; the default), "exact" (nothing else does), "number" (the last number is it; the default for an answer that is a
number). Of labels, the first that the text names counts. Letters' case and punctuation never do.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

_WORDS = re.compile(r"\w+(?:[.,']\w+)*")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


class QuestionError(ValueError):
    """A line that holds no question, in words for the person who wrote it."""


class Question(msgspec.Struct, frozen=True):
    """One line. A line has `prompt` or `body`, and `answer` or both `labels` and `label`; other members are ignored."""

    prompt: str | None = None
    body: dict[str, Any] | None = None
    answer: str | list[str] | None = None
    labels: list[str] = []
    label: str | None = None
    match: Literal["contains", "exact", "number"] | None = None

    def asked(self, model: str, max_tokens: int, more: dict[str, Any]) -> dict[str, Any]:
        """The chat body. max_tokens: of the answer, where the line sets none. more: members that replace the line's own."""
        base = self.body if self.body is not None else {"messages": [{"role": "user", "content": self.prompt}]}
        limits = () if {"max_tokens", "max_completion_tokens"} & base.keys() else (("max_tokens", max_tokens),)
        return {**base, **dict(limits), **more, "model": model}

    def right(self, text: str) -> bool:
        """True if the text is a right answer."""
        if self.label is not None:
            named = [(place, label) for label in self.labels if (place := _place(_words(label), _words(text))) >= 0]
            # Of two labels that begin at one place the longer one is meant.
            return bool(named) and min(named, key=lambda pair: (pair[0], -len(pair[1])))[1] == self.label
        answers = [self.answer] if isinstance(self.answer, str) else self.answer or []
        return any(self._matches(answer, text) for answer in answers)

    def _matches(self, answer: str, text: str) -> bool:
        wanted = _NUMBER.fullmatch(answer.strip())
        if self.match == "number" or (self.match is None and wanted):
            numbers = _NUMBER.findall(text)
            return bool(wanted and numbers) and _value(numbers[-1]) == _value(answer.strip())
        if self.match == "exact":
            return _words(answer) == _words(text)
        return _place(_words(answer), _words(text)) >= 0


def question_of(line: str) -> Question:
    """Raises QuestionError."""
    try:
        found = msgspec.json.decode(line, type=Question)
    except msgspec.DecodeError as error:
        raise QuestionError(f"not a question: {error}") from error
    if (found.prompt is None) == (found.body is None):
        raise QuestionError('a question has "prompt" or "body", one of them')
    if found.label is not None and found.label not in found.labels:
        raise QuestionError(f'its "label" {found.label!r} is not among its "labels"')
    if (found.label is None) == (not found.answer):
        raise QuestionError('a question has "answer", or "labels" and "label"')
    if found.match == "number" and not all(
        _NUMBER.fullmatch(answer.strip())
        for answer in ([found.answer] if isinstance(found.answer, str) else found.answer or [])
    ):
        raise QuestionError('"match" is "number", and its answer is none')
    return found


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORDS.findall(text)]


def _place(wanted: list[str], words: list[str]) -> int:
    """The place at which the words stand in a row; -1 if they do not."""
    places = range(len(words) - len(wanted) + 1) if wanted else ()
    return next((at for at in places if words[at : at + len(wanted)] == wanted), -1)


def _value(number: str) -> float:
    return float(number.replace(",", ""))
