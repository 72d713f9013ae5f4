"""Meters of OpenAI's chat wire, which the completions wire shares: chunks, whole answers, usage, errors.

Reads only what the runtime must know of an answer and forwards the bytes; knows no target.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from runtime.contract.failures import Failure
from runtime.contract.usage import Usage, counted
from runtime.dialects.meter import PartialAnswer, StreamMeter, WholeMeter, broken, finish_reason, garbled
from runtime.wire import sse
from runtime.wire.chunk_template import ChunkTemplate

DONE = b"data: [DONE]\n\n"
TEXT_LIMIT = 4 << 20  # characters kept of an answer
# Finish reasons of a run that ended before its answer was complete.
ABORTED = frozenset({"abort", "error", "insufficient_system_resource", "network_error", "server_error"})


class _Choice(msgspec.Struct):
    index: Any = None
    delta: Any = None
    text: Any = None
    finish_reason: Any = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    service_tier: Any = None
    error: Any = None
    model: Any = None


answer_decoder = msgspec.json.Decoder(_Answer)


def usage_of(value: Any, tier: Any = None) -> Usage | None:
    """Token counts of an OpenAI usage object; DeepSeek-style cache counts too. None where there is none.

    tier: the `service_tier` beside it.
    """
    if not isinstance(value, dict):
        return None
    read, written = value.get("prompt_tokens_details"), value.get("completion_tokens_details")
    read, written = [each if isinstance(each, dict) else {} for each in (read, written)]
    cached = read.get("cached_tokens")
    given = (
        value.get("prompt_tokens"),
        value.get("completion_tokens"),
        value.get("prompt_cache_hit_tokens") if cached is None else cached,
        read.get("cache_write_tokens"),
        written.get("reasoning_tokens"),
    )
    prompt, completion, hit, put, reasoning = [count if isinstance(count, int) and count > 0 else 0 for count in given]
    if hit > prompt:  # it was counted beside the prompt
        return counted(prompt, completion, hit, put, reasoning)
    served = tier if isinstance(tier, str) else ""
    # A token of the prompt is read from the cache or written to it: some routers count one twice.
    return Usage(prompt, completion, hit, min(put, prompt - hit), reasoning, tier=served)


def error_failure(error: Any, raw: bytes) -> Failure:
    """An error object inside an answer that began well."""
    detail = error if isinstance(error, dict) else {}
    message = str(detail.get("message") or error)[:500]
    code = detail.get("code") or detail.get("type")
    return broken(f"the stream broke off with an error: {message}", None if code is None else str(code), raw)


class ChatStreamMeter(StreamMeter):
    """Meters one SSE answer of the chat or the completions wire.

    choices: how many answers the stream interleaves. hide_usage: the client did not ask for the usage chunk. keep_text: the
    text is kept, so that another run can resume a cut answer; `partial` is None if the answer was more than text, or longer
    than text_limit characters. partial: the partial answer that this stream resumes.
    """

    __slots__ = ("_accounted", "_choices", "_ended", "_hide_usage", "_resumed", "_room", "_template", "_text")
    closing = DONE

    def __init__(
        self,
        *,
        choices: int,
        hide_usage: bool,
        keep_text: bool = False,
        partial: PartialAnswer | None = None,
        text_limit: int = TEXT_LIMIT,
    ) -> None:
        super().__init__()
        self._template: ChunkTemplate | None = None
        self._resumed = partial
        self._text: list[str] | None = [partial.text if partial else ""] if keep_text and choices == 1 else None
        self._room = text_limit
        self._choices = choices
        self._ended: set[int] = set()  # the choices that have had a finish reason
        self._hide_usage = hide_usage
        self._accounted = False  # the last chunk carried usage

    @property
    def partial(self) -> PartialAnswer | None:
        """See `Meter.partial`."""
        if self._text is None:
            return None
        return PartialAnswer("".join(self._text), self.tokens + (self._resumed.tokens if self._resumed else 0))

    @property
    def ended(self) -> bool:
        """See `StreamMeter.ended`."""
        return len(self._ended) >= self._choices

    def read(self, event: sse.Event, data: bytes) -> bytes:
        """See `StreamMeter.read`."""
        # (1) A chunk that differs from an earlier one in its text alone is counted without being parsed.
        if self._template is not None and not event.name and (text := self._template.text(data)) is not None:
            self._accounted = False
            self.tokens += 1
            if self._text is not None:
                self._text.append(text)
                self._room -= len(text)
                if self._room < 0:
                    self._text = None
            return event.raw
        # (2) The closing mark. Some hosts omit `finish_reason`; a final usage chunk counts as the end.
        if data == b"[DONE]":
            if self.ended or (self._accounted and self.began):
                self.done = True
                return event.raw
            self.failure = broken("the stream said it was done without a finish reason")
            return b""
        # (3) An error in place of a chunk.
        answer = answer_decoder.decode(data)
        if answer.error is not None or event.name == b"error":
            self.failure = error_failure(answer.error, data)
            return b""
        # (4) A chunk.
        self.model = self.model or answer.model
        if answer.usage is not None:
            usage = usage_of(answer.usage, answer.service_tier)
            if usage is not None and self._resumed is not None:
                # The partial answer is part of this run's prompt, and of the client's completion.
                tokens = min(self._resumed.tokens, usage.prompt)
                usage = structs.replace(usage, prompt=usage.prompt - tokens, completion=usage.completion + tokens)
            self.usage = usage or self.usage
        self._accounted = answer.usage is not None
        if not answer.choices:
            if self._hide_usage and self._accounted:
                return b""
        elif not self._chunk(answer.choices, data):
            return b""
        return event.raw if self._resumed is None else self._resuming(event, data)

    def _chunk(self, choices: list[_Choice], data: bytes) -> bool:
        """Takes note of a chunk's choices; True if the client may see it."""
        if self._text is not None:
            self._keep(choices[0].delta)
        # A chunk with text in one choice and nothing else is a template for those that follow.
        self._template, first, begun = None, choices[0], False
        if self._resumed is None and not self._accounted and len(choices) == 1 and not first.finish_reason:
            if isinstance(first.text, str):
                self._template = ChunkTemplate.of(data, b'"text":', first.text)
            elif isinstance(first.delta, dict) and isinstance(text := first.delta.get("content"), str):
                self._template = ChunkTemplate.of(data, b'"content":', text)
        for choice in choices:
            # Anything beyond the role: text, reasoning, a tool call, a refusal, audio.
            delta = choice.delta if isinstance(choice.delta, dict) else {}
            if choice.text or any(value and key != "role" for key, value in delta.items()):
                begun = True
                self.began = True
                self.finished = False  # text after a finish reason: the answer goes on
                self.tokens += 1
            if choice.finish_reason and (reason := finish_reason(choice.finish_reason)) is not None:
                if reason in ABORTED:
                    self.failure = broken(f"the model's run ended with {reason!r}")
                    return False
                self.finish = reason
                self._ended.add(choice.index if isinstance(choice.index, int) else len(self._ended))
                self.finished = self.ended
                self.began = self.began or self.finished
        # A run that resumes an answer opens with a chunk of the role alone, which the client has already.
        return self._resumed is None or begun or bool(first.finish_reason)

    def _keep(self, delta: Any) -> None:
        """Keeps the text. Any other member than the role means that no other run can resume the answer."""
        if not isinstance(delta, dict) or self._text is None:
            return
        text = delta.get("content")
        if any(value and key not in ("role", "content") for key, value in delta.items()):
            self._text = None
        elif isinstance(text, str):
            self._text.append(text)
            self._room -= len(text)
            self._text = self._text if self._room >= 0 else None

    def _resuming(self, event: sse.Event, data: bytes) -> bytes:
        """An event of a run that resumes an answer, with the usage of the whole answer."""
        if self.usage is None or b'"usage"' not in data:
            return event.raw
        chunk = msgspec.json.decode(data)
        if isinstance(chunk.get("usage"), dict):
            chunk["usage"] |= {
                "prompt_tokens": self.usage.prompt,
                "completion_tokens": self.usage.completion,
                "total_tokens": self.usage.prompt + self.usage.completion,
            }
        return sse.encode(msgspec.json.encode(chunk))


class ChatWholeMeter(WholeMeter):
    """Meters one whole answer of the chat or the completions wire (see `Meter`)."""

    __slots__ = ()

    def read(self, body: bytes) -> Failure | None:
        """See `WholeMeter.read`."""
        answer = answer_decoder.decode(body)
        if answer.error is not None:
            return error_failure(answer.error, body)
        if not answer.choices:
            return garbled("the answer has no choices", body)
        for choice in answer.choices:
            reason = finish_reason(choice.finish_reason)
            if reason in ABORTED or (reason is None and answer.usage is None):
                return broken(f"the model's run ended with finish reason {choice.finish_reason!r}")
            self.finish = self.finish or reason
        self.model = answer.model
        self.usage = usage_of(answer.usage, answer.service_tier)
        return None
