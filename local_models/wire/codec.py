"""vLLM's error bodies and the paths of its dialects. A `runtime.contract.codec.Codec`.

Pure. Knows vLLM 0.32's typed error bodies (tests hold real ones) and tolerates those of other servers of the OpenAI
dialect, to which Hearth may be attached. Knows nothing of connections: a call without a reply is judged by the hop.

    full admission queue      503, type "Service Unavailable"; 529     busy: alive, has no room
    a balancer without engines  any status, by its words               down
    dead engine core          500, "EngineCore encountered an issue"   down
    another 5xx               500                                      down, one more try here
    context overflow          400, param input_tokens, max_tokens, …   too long; by its words on other servers, under any status
    model not served          404, param "model", or in words          the lane is not what it was: next candidate
    a parameter or an ability that this engine has not                 next candidate
    another 4xx               400, 404, 422                            the caller's own
    error object in a stream  200, then {"error": {…}}, then [DONE]    by its code, else a broken stream

Other servers, from their sources as of 2026-11: SGLang (`BadRequestError` without param; 503 "queue is full"), TGI (422
`validation`, 424 `generation`, 429 `overloaded`), llama.cpp (400 `exceed_context_size_error`, 501 `not_supported_error`, 503
`unavailable_error` while it loads), Ollama (400, 404 `not_found_error`, 503 "server busy"), LM Studio (400, words alone).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from runtime.contract.codec import Decoder, Encoded, Fit
from runtime.contract.failures import Disposition, Failure, Kind
from runtime.contract.messages import Request
from runtime.contract.targets import Target
from runtime.dialects.openai_chat.profile import VLLM
from runtime.dialects.openai_chat.read_answer import ChatAnswerReader
from runtime.dialects.openai_chat.write_request import write_request
from runtime.dialects.refusals import Subject, subject_of

PATHS: Mapping[str, str] = {
    "openai_chat": "/chat/completions",
    "openai_completions": "/completions",
    "openai_embeddings": "/embeddings",
    "rerank": "/rerank",
    "openai_responses": "/responses",
    "anthropic_messages": "/messages",
}

_BODY_MOST = 64 * 1024  # bytes of an error body that are kept
_BUSY_TYPE = "Service Unavailable"
_FULL = frozenset({429, 529})
_MISSING = frozenset({"NotFoundError", "not_found_error", "model_not_found"})
_DEAD = ("EngineCore", "EngineDead", "engine is dead")
# Codes and types of attached servers: those that follow OpenAI more closely, and llama.cpp.
_WINDOW_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_FILTER_CODE = "content_filter"
_CALLERS = frozenset({400, 404, 405, 413, 415, 422})  # statuses that may be about the body; any other 4xx is not
_PARAMETER = re.compile(
    r"\(parameter=(\w+)"
)  # the Anthropic dialect has no place for `param`: it stands in the message

_NO_DEVELOPER = Fit(developer=False)
_NO_PRIORITY = Fit(drop=frozenset({"priority"}), dropped=("priority",), developer=False)

_Verdict = tuple[Kind, Disposition]
_BUSY: _Verdict = (Kind.BUSY, Disposition.NEXT_CANDIDATE)
_DOWN: _Verdict = (Kind.DOWN, Disposition.NEXT_CANDIDATE)
_DOWN_ONCE: _Verdict = (Kind.DOWN, Disposition.RETRY_HERE)
_DENIED: _Verdict = (Kind.DENIED, Disposition.NEXT_CANDIDATE)
_TOO_LONG: _Verdict = (Kind.TOO_LONG, Disposition.NEXT_CANDIDATE)
_FILTERED: _Verdict = (Kind.FILTERED, Disposition.TELL_CALLER)
_NOT_SERVED: _Verdict = (Kind.REJECTED, Disposition.NEXT_CANDIDATE)  # this engine alone refuses it
_REJECTED: _Verdict = (Kind.REJECTED, Disposition.TELL_CALLER)
_BROKEN: _Verdict = (Kind.BROKEN_STREAM, Disposition.NEXT_CANDIDATE)
_GARBLED: _Verdict = (Kind.GARBLED, Disposition.NEXT_CANDIDATE)


class EngineCodec:
    """The codec of every engine, owned or attached (`runtime.contract.codec.Codec`)."""

    def path(self, dialect: str) -> str:
        """Below /v1. Raises KeyError for a dialect no engine speaks."""
        return PATHS[dialect]

    def encode(self, request: Request, target: Target) -> Encoded:
        return write_request(request, target.model, VLLM)

    def decoder(self, request: Request) -> Decoder:
        return ChatAnswerReader()

    def fit(self, dialect: str, body: Mapping[str, Any], target: Target, *, pinned: bool) -> Fit:
        """Chat templates raise on a role they do not know. The order of the queue follows the hint `priority`, not a number
        by which any caller could outrank all others.
        """
        return _NO_PRIORITY if target.capabilities.priorities and "priority" in body else _NO_DEVELOPER

    def headers(self, client: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        return ()

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """The verdict over an error answer, or over the data of an error event inside a stream (status 200)."""
        word = _read(body)
        if status >= 400:
            kind, disposition = _judge(status, word)
        elif not word.typed:
            kind, disposition = _GARBLED
        elif 400 <= word.number < 500 or (word.number == 503 and word.type == _BUSY_TYPE):
            kind, disposition = _judge(word.number, word)  # its code is the status it would have been before the head
        else:
            kind, disposition = _BROKEN
        retry_after = None
        with suppress(ValueError):  # a date; no engine sends one
            seconds = float(headers.get("retry-after", ""))
            retry_after = seconds if 0 <= seconds < 86_400 * 365 else None
        return Failure(
            kind,
            disposition,
            word.message or f"the engine answered {status} without a word",
            status=status,
            retry_after=retry_after,
            code=word.code or word.type or None,
            body=body[:_BODY_MOST],
        )


@dataclass(frozen=True, slots=True)
class _Word:
    """An error body, whatever its shape. number: the HTTP status it names itself; typed: it was an error object."""

    message: str = ""
    type: str = ""
    param: str = ""
    code: str = ""
    number: int = 0
    typed: bool = False


def _judge(status: int, word: _Word) -> _Verdict:
    # (1) Nobody is there, or there is no room, whatever the server calls it.
    subject = subject_of(word.message)
    if subject is Subject.EMPTY:
        return _DOWN
    if status in _FULL or (status == 503 and (word.type == _BUSY_TYPE or subject is Subject.FULL)):
        return _BUSY
    # (2) Overflow and filters, by code or words. vLLM, and servers like it, report an overflow under 400, 413, 422 or 500.
    if word.code == _FILTER_CODE or subject is Subject.FILTER:
        return _FILTERED
    if status == 413 or _WINDOW_CODES & {word.code, word.type} or (status < 503 and subject is Subject.OVERFLOW):
        return _TOO_LONG
    # (3) An ability that the server has not, and its own faults.
    if status == 501 or (status == 500 and subject in (Subject.PARAMETER, Subject.MODEL)):
        return _NOT_SERVED  # llama.cpp and Ollama report what they have not as 500
    if status >= 500:
        return _DOWN_ONCE if status == 500 and not any(sign in word.message for sign in _DEAD) else _DOWN
    if status in (401, 402, 403):
        return _DENIED
    if status == 424:
        return _DOWN  # TGI: the generation failed
    # (4) A model or a parameter that only this engine refuses, then the caller's own fault.
    if status == 404 and (word.param == "model" or _MISSING & {word.type, word.code}):
        return _NOT_SERVED
    return _REJECTED if status in _CALLERS and subject is None else _NOT_SERVED


def _read(body: bytes) -> _Word:
    try:
        document = msgspec.json.decode(body.removeprefix(b"data:").strip())
    except msgspec.DecodeError:
        return _Word(message=_text(body))
    if not isinstance(document, dict):
        return _Word(message=_text(body))
    error = document.get("error")
    if isinstance(error, dict):
        return _typed(error)
    if document.get("object") == "error":
        return _typed(document)  # vLLM before 0.10, and servers that followed it
    said = error or document.get("detail") or document.get("message")
    return _Word(message=said if isinstance(said, str) else _text(body), typed=isinstance(error, str))


def _typed(error: Mapping[str, Any]) -> _Word:
    message = str(error.get("message") or "")
    code = error.get("code")
    stands = _PARAMETER.search(message)
    return _Word(
        message=message,
        type=str(error.get("type") or ""),
        param=str(error.get("param") or (stands.group(1) if stands else "")),
        code=code if isinstance(code, str) else "",
        number=code if isinstance(code, int) else int(code) if isinstance(code, str) and code.isdecimal() else 0,
        typed=True,
    )


def _text(body: bytes) -> str:
    """A body that is no JSON (a proxy's page) as one short line."""
    return " ".join(body[:400].decode("utf-8", "replace").split())
