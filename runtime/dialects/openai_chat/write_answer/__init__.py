"""Writes events as an OpenAI chat answer: chunks of a stream, or one whole body.

Clients rely on this, and other translators get it wrong: the role comes once and first; a call's id and name come once and its
index never changes; a call without arguments has "{}"; there is exactly one finish reason; usage has no choices and comes only
if it was asked for; reasoning is never in the content; a list of objects comes in one delta, because the vendor's own SDK
merges lists by index and refuses others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from runtime.contract.events import (
    ArgumentsDelta,
    BlockEnd,
    Event,
    Logprobs,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Stop,
    TextDelta,
    TokenLogprob,
    ToolCallStart,
)
from runtime.contract.messages import Request
from runtime.dialects.custom_tools import CUSTOM, INPUT, text_of
from runtime.dialects.openai_chat.meter import DONE
from runtime.dialects.openai_chat.read_request.tools import is_custom, speaks_of_functions
from runtime.dialects.openai_chat.signatures import EXTRA, SignatureCache, message_extra
from runtime.dialects.openai_chat.write_answer.answer import NO_ARGUMENTS, ChatAnswer, call_head, usage_members
from runtime.dialects.translating import Writer
from runtime.wire import logprobs as openai_logprobs
from runtime.wire import sse

_encode = msgspec.json.encode


def write_answer(request: Request, answer_id: str, created: int, signatures: SignatureCache | None = None) -> Writer:
    """A writer for one answer, a stream if the client asked for one.

    answer_id: used if the provider gave none. created: seconds since the epoch. signatures: receives what the model will want
    back.
    """
    kind = ChatStreamWriter if request.stream else ChatWholeWriter
    return kind(request, answer_id, created, signatures)


class ChatWholeWriter:
    """`runtime.dialects.translating.Writer` of a whole body."""

    def __init__(self, request: Request, answer_id: str, created: int, signatures: SignatureCache | None) -> None:
        self._request, self._id, self._created, self._signatures = request, answer_id, created, signatures
        self._answer = ChatAnswer()

    def feed(self, event: Event) -> bytes:
        """See `Writer.feed`."""
        self._answer.take(event)
        return b""

    def end(self) -> bytes:
        """See `Writer.end`."""
        answer, request, turn = self._answer, self._request, self._answer.turn
        answer.remember(request, self._signatures, turn)
        legacy = speaks_of_functions(request.tools)
        refusal = "".join(answer.refusal) or None
        custom = {tool.name for tool in request.tools if is_custom(tool)}
        calls = [
            call_head(call, "".join(call.arguments) or NO_ARGUMENTS, custom=call.name in custom)
            for call in answer.calls.values()
        ]
        silent = not answer.text and (calls or refusal)
        function = calls.pop(0)["function"] if calls and legacy else None
        if_any = {
            "reasoning_content": "".join(answer.reasoning),
            "tool_calls": calls,
            "function_call": function,
            **closing_members(answer, self._id, self._created),
            EXTRA: message_extra(turn),
        }
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if silent else "".join(answer.text),
            "refusal": refusal,
            **{name: value for name, value in if_any.items() if value},
        }
        choice = {
            "index": 0,
            "message": message,
            "logprobs": logprobs_member(answer.logprobs, request),
            "finish_reason": finish_reason(answer.stop, legacy),
        }
        body: dict[str, Any] = {
            "id": answer.id or self._id,
            "object": "chat.completion",
            "created": self._created,
            "model": answer.model or request.model,
            "choices": [choice],
            "system_fingerprint": None,
        }
        if answer.usage is not None:
            body["usage"] = usage_members(answer.usage)
        return _encode(body)


class ChatStreamWriter:
    """`runtime.dialects.translating.Writer` of a stream."""

    def __init__(self, request: Request, answer_id: str, created: int, signatures: SignatureCache | None) -> None:
        self._request, self._id, self._created, self._signatures = request, answer_id, created, signatures
        self._answer = ChatAnswer()
        self._legacy = speaks_of_functions(request.tools)
        self._paired = request.logprobs is not None  # a text waits for the next event: its log probabilities
        self._waiting = b""  # the delta of a text that waits
        self._custom = {tool.name for tool in request.tools if is_custom(tool)}  # called with free text, written whole
        self._silent: set[int] = set()  # blocks of calls whose arguments are not written yet
        self._head = self._tail = b""  # around the choices of every chunk
        self._text_head = self._text_tail = b""  # around the text of a chunk that is text alone

    def feed(self, event: Event) -> bytes:
        """See `Writer.feed`."""
        # (1) Nearly every event: text, without log probabilities.
        if type(event) is TextDelta and self._text_head:
            text = event.text
            self._answer.say(text)
            return self._text_head + _encode(text) + self._text_tail if text else b""
        if not self._paired:
            return self._written(event)
        # (2) A text and its log probabilities share a chunk.
        waiting, self._waiting = self._waiting, b""
        if isinstance(event, Logprobs):
            self._answer.take(event)
            return self._logprobs(event, waiting)
        before = self._chunk(waiting) if waiting else b""
        if isinstance(event, TextDelta) and event.text:
            self._answer.take(event)
            self._waiting = _encode({"content": event.text})
            return before
        return before + self._written(event)

    def end(self) -> bytes:
        """See `Writer.end`."""
        usage = self._answer.usage
        if usage is None or not self._request.include_usage:
            return DONE
        return sse.encode(self._head + b"[]," + b'"usage":' + _encode(usage_members(usage)) + b"}") + DONE

    def _written(self, event: Event) -> bytes:
        """The chunk of one event."""
        answer = self._answer
        answer.take(event)
        match event:
            case TextDelta(text=text):
                return self._delta({"content": text}) if text else b""
            case ReasoningDelta(text=text):
                return self._chunk(b'{"reasoning_content":' + _encode(text) + b"}") if text else b""
            case ArgumentsDelta(index=index, text=text):
                return self._arguments(index, text) if text else b""
            case ToolCallStart(index=index):
                self._silent.add(index)
                call = answer.calls[index]
                if self._legacy and call.place == 0:
                    return self._delta({"function_call": {"name": call.name, "arguments": ""}})
                head = call_head(call, "", custom=call.name in self._custom)
                return self._delta({"tool_calls": [{"index": call.place - self._legacy} | head]})
            case RefusalDelta(text=text):
                return self._delta({"refusal": text}) if text else b""
            case Logprobs():
                return self._logprobs(event)
            case BlockEnd(index=index):
                return self._no_arguments(index)
            case Start():
                return self._opened()
            case Stop():
                return self._stopped()
            case _:
                return b""

    def _opened(self) -> bytes:
        """The first chunk, with the role. Until then neither id nor model is known."""
        if self._head:
            return b""
        head = {
            "id": self._answer.id or self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._answer.model or self._request.model,
        }
        self._head = _encode(head)[:-1] + b',"choices":'
        self._tail = b',"usage":null}' if self._request.include_usage else b"}"
        if not self._paired:
            before, _, after = self._chunk(b'{"content":""}').rpartition(b'""')
            self._text_head, self._text_tail = before, after
        return self._chunk(b'{"role":"assistant","content":""}')

    def _chunk(self, delta: bytes, finish: bytes = b"null", logprobs: bytes = b"null") -> bytes:
        opened = b"" if self._head else self._opened()
        choice = b'[{"index":0,"delta":' + delta + b',"logprobs":' + logprobs + b',"finish_reason":' + finish + b"}]"
        return opened + b"data: " + self._head + choice + self._tail + b"\n\n"

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return self._chunk(_encode(delta))

    def _logprobs(self, event: Logprobs, delta: bytes = b"") -> bytes:
        """A chunk with log probabilities, for the text of `delta` or for none."""
        written = _encode(logprobs_member(event.tokens, self._request))
        return self._chunk(delta or b'{"content":""}', logprobs=written)

    def _arguments(self, index: int, text: str) -> bytes:
        call = self._answer.calls.get(index)
        if call is None or call.name in self._custom:
            return b""
        self._silent.discard(index)
        if self._legacy and call.place == 0:
            return self._delta({"function_call": {"arguments": text}})
        return self._delta({"tool_calls": [{"index": call.place - self._legacy, "function": {"arguments": text}}]})

    def _no_arguments(self, index: int) -> bytes:
        """The arguments of a call whose block ends: "{}" if it has none, the text of a custom tool."""
        if index not in self._silent:
            return b""
        call = self._answer.calls[index]
        if call.name in self._custom:
            self._silent.discard(index)
            text = text_of("".join(call.arguments))
            return self._delta({"tool_calls": [{"index": call.place, CUSTOM: {INPUT: text}}]})
        self._answer.calls[index].arguments.append(NO_ARGUMENTS)
        return self._arguments(index, NO_ARGUMENTS)

    def _stopped(self) -> bytes:
        """The last chunks: lists and media, then the finish reason."""
        answer = self._answer
        out = [self._no_arguments(index) for index in sorted(self._silent)]
        turn = answer.turn
        answer.remember(self._request, self._signatures, turn)
        closing = closing_members(answer, self._id, self._created) | {EXTRA: message_extra(turn)}
        members = {name: value for name, value in closing.items() if value}
        if members:
            out.append(self._delta(members))
        out.append(self._chunk(b"{}", _encode(finish_reason(answer.stop, self._legacy))))
        return b"".join(out)


def finish_reason(stop: Stop | None, legacy: bool) -> str:
    finish = stop.finish if stop is not None else "stop"
    return "function_call" if legacy and finish == "tool_calls" else finish


def logprobs_member(tokens: Sequence[TokenLogprob], request: Request) -> dict[str, Any] | None:
    """A choice's `logprobs`, with as many alternatives as were asked for."""
    if not tokens:
        return None
    return {"content": openai_logprobs.written(tokens, request.logprobs), "refusal": None}


def closing_members(answer: ChatAnswer, answer_id: str, created: int) -> dict[str, Any]:
    """Lists and media, which come in one delta. A sound has the members the wire requires; nothing is stored under its id."""
    audio = answer.audio and {
        "id": f"audio_{answer_id}",
        "data": answer.audio.data,
        "expires_at": created,
        "transcript": "",
    }
    return {"annotations": answer.annotations, "images": answer.images, "files": answer.files, "audio": audio}
