"""What OpenAI's chat and completions wires share: chunks, whole answers, usage, errors.

Reads only what the runtime must know of an answer and forwards the bytes; knows no target.
"""

from __future__ import annotations

from typing import Any

import msgspec

from runtime.contract.failures import Failure
from runtime.contract.usage import Usage
from runtime.dialects.meter import Before, broken, garbled
from runtime.wire import sse
from runtime.wire.alike import Alike

DONE = b"data: [DONE]\n\n"
_ABORTED = frozenset({"abort", "error"})  # finish reasons that mean the opposite


class _Choice(msgspec.Struct):
    delta: Any = None
    text: Any = None
    finish_reason: Any = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    model: Any = None


_answer = msgspec.json.Decoder(_Answer)


def usage_of(value: Any) -> Usage | None:
    """Token counts of an OpenAI usage object; DeepSeek-style cache counts too. None where there is none."""
    if not isinstance(value, dict):
        return None
    prompt_details = _dict(value.get("prompt_tokens_details"))
    cached = prompt_details.get("cached_tokens")
    return Usage(
        prompt=_count(value.get("prompt_tokens")),
        completion=_count(value.get("completion_tokens")),
        cached=_count(value.get("prompt_cache_hit_tokens") if cached is None else cached),
        cache_write=_count(prompt_details.get("cache_write_tokens")),
        reasoning=_count(_dict(value.get("completion_tokens_details")).get("reasoning_tokens")),
    )


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def error_failure(error: Any, raw: bytes) -> Failure:
    """An error object inside an answer that began well."""
    detail = _dict(error)
    message = str(detail.get("message") or error)[:500]
    code = detail.get("code") or detail.get("type")
    return broken(f"the stream broke off with an error: {message}", None if code is None else str(code), raw)


class StreamMeter:
    """Meters one SSE answer (see `Meter`).

    hide_usage: the client did not ask for the usage chunk that we asked for. keep_text: remembers what was said, so that a
    cut answer can be gone on with; `said` is None once more than text came. before: this stream goes on with that.
    """

    __slots__ = (
        "_accounted",
        "_alike",
        "_before",
        "_choices",
        "_ended",
        "_events",
        "_hide_usage",
        "_said",
        "began",
        "done",
        "failure",
        "finish",
        "finished",
        "model",
        "tokens",
        "usage",
    )

    def __init__(
        self, *, choices: int, hide_usage: bool, keep_text: bool = False, before: Before | None = None
    ) -> None:
        self._events = sse.Events()
        self._alike: Alike | None = None
        self._before = before
        self._said: list[str] | None = [before.text if before else ""] if keep_text and choices == 1 else None
        self._choices = choices
        self._ended = 0
        self._hide_usage = hide_usage
        self.began = self.finished = self.done = False
        self.finish: str | None = None
        self.usage: Usage | None = None
        self.model: str | None = None
        self.failure: Failure | None = None
        self.tokens = 0  # content chunks seen: about the tokens generated
        self._accounted = False  # the last chunk carried usage

    def feed(self, piece: bytes) -> bytes:
        forward = []
        for event in self._events.feed(piece):
            if self.failure is not None or self.done:
                break
            if self._more_text(event) or self._read(event):
                forward.append(event.raw if self._before is None else self._rewritten(event, self._before))
        return b"".join(forward) if len(forward) != 1 else forward[0]

    def end(self) -> bytes:
        if self.failure is not None or self.done:
            return b""
        if not self.finished:
            self.failure = broken("the stream ended without a finish reason")
            return b""
        self.done = True
        return DONE

    @property
    def said(self) -> Before | None:
        """All of the answer so far, where it was nothing but text and was to be remembered."""
        if self._said is None:
            return None
        return Before("".join(self._said), self.tokens + (self._before.tokens if self._before else 0))

    def _rewritten(self, event: sse.Event, before: Before) -> bytes:
        """An event of a run that goes on: usage is that of the whole answer."""
        if self.usage is None or event.data is None or b'"usage"' not in event.data:
            return event.raw
        chunk = msgspec.json.decode(event.data)
        if isinstance(chunk.get("usage"), dict):
            chunk["usage"] |= {
                "prompt_tokens": self.usage.prompt,
                "completion_tokens": self.usage.completion,
                "total_tokens": self.usage.prompt + self.usage.completion,
            }
        return sse.encode(msgspec.json.encode(chunk))

    def _counted(self, usage: Usage | None) -> Usage | None:
        """Usage of the whole answer: what was said before is prompt to this run, and completion to the client."""
        if usage is None or self._before is None:
            return usage
        said = min(self._before.tokens, usage.prompt)
        return msgspec.structs.replace(usage, prompt=usage.prompt - said, completion=usage.completion + said)

    def _more_text(self, event: sse.Event) -> bool:
        """Whether the event is like the one before it but for its text; then it is counted and need not be parsed."""
        if self._alike is None or event.data is None or event.name:
            return False
        text = self._alike.text(event.data)
        if text is None:
            return False
        self._accounted = False
        self.tokens += 1
        if self._said is not None:
            self._said.append(text)
        return True

    def _read(self, event: sse.Event) -> bool:
        """Takes note of one event; True when the client may see it."""
        data = event.data
        if data is None:
            return not event.name  # comments keep a connection alive; a bare field means nothing
        if data == b"[DONE]":
            return self._close()
        try:
            answer = _answer.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self.failure = garbled(f"an event of the stream is not a chunk: {error}", data)
            return False
        if answer.error is not None or event.name == b"error":
            self.failure = error_failure(answer.error, data)
            return False
        self.model = self.model or answer.model
        if answer.usage is not None:
            self.usage = self._counted(usage_of(answer.usage)) or self.usage
        self._accounted = answer.usage is not None
        if not answer.choices:
            return not (self._hide_usage and answer.usage is not None)
        if self._said is not None:
            self._remember(answer.choices[0].delta)
        self._alike = self._likeness(answer, data)
        again = self._before is not None and not _has_content(answer.choices[0].delta)
        return self._choices_read(answer.choices) and not (again and answer.choices[0].finish_reason is None)

    def _likeness(self, answer: _Answer, data: bytes) -> Alike | None:
        """What chunks of the same kind will look like: text goes on in one choice, and nothing else is said."""
        if self._before is not None or answer.usage is not None or not answer.choices or len(answer.choices) > 1:
            return None
        choice = answer.choices[0]
        if choice.finish_reason is not None:
            return None
        if isinstance(choice.text, str):
            return Alike.of(data, b'"text":', choice.text)
        text = choice.delta.get("content") if isinstance(choice.delta, dict) else None
        return Alike.of(data, b'"content":', text) if isinstance(text, str) else None

    def _remember(self, delta: Any) -> None:
        """Keeps the text; anything else but a role means that nobody else can go on."""
        if not isinstance(delta, dict) or self._said is None:
            return
        if any(value and key not in ("role", "content") for key, value in delta.items()):
            self._said = None
        elif isinstance(text := delta.get("content"), str):
            self._said.append(text)

    def _choices_read(self, choices: list[_Choice]) -> bool:
        for choice in choices:
            if choice.text or _has_content(choice.delta):
                self.began = True
                self.tokens += 1
            if choice.finish_reason is not None:
                if choice.finish_reason in _ABORTED:
                    self.failure = broken(f"the model's run ended with {choice.finish_reason!r}")
                    return False
                self.finish = str(choice.finish_reason)
                self._ended += 1
                self.finished = self._ended >= self._choices
                self.began = self.began or self.finished
        return True

    def _close(self) -> bool:
        """The closing mark. Some hosts forget the finish reason; that the run came to its end, their final account says."""
        if not self.finished and not (self._accounted and self.began):
            self.failure = broken("the stream said it was done without a finish reason")
            return False
        self.done = True
        return True


def _has_content(delta: Any) -> bool:
    """Whether a chat delta carries anything beyond its role: text, reasoning, a tool call, a refusal, audio."""
    if not isinstance(delta, dict):
        return False
    return any(value and key != "role" for key, value in delta.items())


class WholeMeter:
    """Meters one whole JSON answer (see `Meter`): bytes are held until all of them are there."""

    __slots__ = (
        "_needs_choices",
        "_pieces",
        "began",
        "done",
        "failure",
        "finish",
        "finished",
        "model",
        "said",
        "tokens",
        "usage",
    )

    def __init__(self, *, needs_choices: bool = True) -> None:
        self._pieces: list[bytes] = []
        self._needs_choices = needs_choices
        self.said: Before | None = None  # a whole answer is given whole or not at all
        self.began = self.finished = self.done = False
        self.finish: str | None = None
        self.usage: Usage | None = None
        self.model: str | None = None
        self.failure: Failure | None = None
        self.tokens = 0

    def feed(self, piece: bytes) -> bytes:
        self._pieces.append(piece)
        return b""

    def end(self) -> bytes:
        body = b"".join(self._pieces)
        try:
            answer = _answer.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self.failure = garbled(f"the answer is not valid JSON: {error}", body)
            return b""
        self.failure = self._verdict(answer, body)
        if self.failure is not None:
            return b""
        self.model = answer.model
        self.usage = usage_of(answer.usage)
        self.tokens = self.usage.completion if self.usage else 0
        self.began = self.finished = self.done = True
        return body

    def _verdict(self, answer: _Answer, body: bytes) -> Failure | None:
        if answer.error is not None:
            return error_failure(answer.error, body)
        if not self._needs_choices:
            return None
        if not answer.choices:
            return garbled("the answer has no choices", body)
        for choice in answer.choices:
            if choice.finish_reason in _ABORTED or (choice.finish_reason is None and answer.usage is None):
                return broken(f"the model's run ended with finish reason {choice.finish_reason!r}")
            self.finish = self.finish or choice.finish_reason
        return None
