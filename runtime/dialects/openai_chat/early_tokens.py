"""The first content tokens of a streamed answer with their log probabilities, taken out of the bytes on their way.

The engine is asked for log probabilities that the client may not have asked for: `with_logprobs` puts them into its body,
and `EarlyTokens` reads them and leaves in the stream what the client asked for. Knows the chunks of the chat wire and of
the completions wire; `runtime.routing.confidence` knows the meaning of the numbers.
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import msgspec

from runtime.dialects.meter import UNDECODABLE
from runtime.wire import sse
from runtime.wire.cut_characters import mended
from runtime.wire.raw_body import RawBody

TOP = 5  # alternatives asked for with each token
FEWEST = 16  # content tokens that fill the window
MOST = 32  # content tokens that are kept of a chunk that holds many

_CHAT, _COMPLETIONS = "openai_chat", "openai_completions"
# Members of a completions body under which its chunks hold more than one answer, or the prompt.
_MANY = ("logprobs", "echo", "best_of", "use_beam_search")


class EarlyToken(NamedTuple):
    """logprob: of the token, natural. rivals: of the likeliest other tokens in its place, the likeliest first."""

    logprob: float
    rivals: tuple[float, ...] = ()


class _Choice(msgspec.Struct):
    delta: Any = None
    text: Any = None
    logprobs: msgspec.Raw = msgspec.Raw()


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None


class _Top(msgspec.Struct):
    token: str
    logprob: float


class _Entry(msgspec.Struct):
    token: str
    logprob: float
    top_logprobs: list[_Top] = []


class _ChatLogprobs(msgspec.Struct):
    content: list[_Entry] | None = None


class _TextLogprobs(msgspec.Struct):
    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None = None


_MEMBER = b'"logprobs":{'
_value = msgspec.json.Decoder(msgspec.Raw)
_chunk = msgspec.json.Decoder(_Chunk)
_chat = msgspec.json.Decoder(_ChatLogprobs)
_text = msgspec.json.Decoder(_TextLogprobs)


class Logged(NamedTuple):
    """A body that asks for log probabilities. shown: alternatives that the client asked for; None: no log probabilities."""

    body: RawBody
    shown: int | None


def with_logprobs(body: RawBody, wire: str) -> Logged | None:
    """The body with log probabilities asked for; None where its answer's tokens cannot be told apart."""
    data = body.data
    if wire == _CHAT:
        given = data.get("top_logprobs")
        shown = (given if isinstance(given, int) else 0) if data.get("logprobs") else None
        top = msgspec.json.encode(max(TOP, shown or 0))
        return Logged(RawBody(body.spliced({"logprobs": b"true", "top_logprobs": top})), shown)
    if wire == _COMPLETIONS and isinstance(data.get("prompt"), str) and not any(data.get(name) for name in _MANY):
        return Logged(RawBody(body.spliced({"logprobs": msgspec.json.encode(TOP)})), None)
    return None


class EarlyTokens:
    """The window of one answer. Fresh per answer.

    tokens: of the content so far, thinking and calls of tools not among them. closed: no more are taken: there are enough of
    them, or the model calls a tool. shown: see `Logged`. fewest, most: see FEWEST and MOST.
    """

    __slots__ = ("_events", "_fewest", "_most", "_shown", "_tail", "closed", "tokens")

    def __init__(self, shown: int | None, fewest: int = FEWEST, most: int = MOST) -> None:
        self._events = sse.Events()
        self._shown = shown
        self._fewest = fewest
        self._most = most
        self._tail = b""  # of a chunk behind its log probabilities, where they are not shown
        self.tokens: list[EarlyToken] = []
        self.closed = False

    def feed(self, piece: bytes) -> bytes:
        """The whole events of a piece as the client may see them. Raises EventTooLongError."""
        out = []
        for event in self._events.feed(piece):
            data = event.data
            if data is None or (self.closed and b'"logprobs"' not in data):
                out.append(event.raw)
                continue
            # Once the window is closed a chunk with the same end as an earlier one only loses the value of the member.
            if (
                self._tail
                and self.closed
                and not event.name
                and (start := data.find(_MEMBER)) > 0
                and data.endswith(self._tail)
            ):
                start += len(_MEMBER) - 1
                with contextlib.suppress(*UNDECODABLE):
                    _value.decode(
                        data[start : -len(self._tail)]
                    )  # it is one value, and no other member stands behind it
                    out.append(b"data: %b" % data[:start] + b"null" + self._tail + b"\n\n")
                    continue
            try:
                try:
                    choices = _chunk.decode(data).choices
                except UNDECODABLE:
                    data = mended(data)
                    choices = _chunk.decode(data).choices
            except UNDECODABLE:
                out.append(event.raw)  # the answer's meter finds what is wrong with it
                continue
            seen = data
            for choice in choices or ():
                logprobs = bytes(choice.logprobs)
                if not self.closed:
                    self._take(choice, logprobs)
                if len(logprobs) > len(b"null"):
                    # An object inside a string has its quotes escaped: the first place with these bytes is the member's.
                    if self._shown is None and not event.name:
                        self._tail = seen.partition(logprobs)[2]
                    seen = seen.replace(logprobs, self._as_asked(logprobs), 1)
            out.append(event.raw if seen is event.data else sse.encode(seen, event.name))
        return b"".join(out)

    def _take(self, choice: _Choice, logprobs: bytes) -> None:
        delta = choice.delta if isinstance(choice.delta, dict) else {}
        if delta.get("tool_calls") or delta.get("function_call"):
            self.closed = True
        elif delta.get("content") or choice.text:
            self.tokens += _tokens_of(logprobs, chat=choice.text is None)
            del self.tokens[self._most :]
            self.closed = len(self.tokens) >= self._fewest

    def _as_asked(self, logprobs: bytes) -> bytes:
        """The member as the client asked for it."""
        if self._shown is None:
            return b"null"
        if self._shown >= TOP:
            return logprobs
        found = msgspec.json.decode(logprobs)
        for entries in found.values() if isinstance(found, dict) else ():
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict) and isinstance(entry.get("top_logprobs"), list):
                    del entry["top_logprobs"][self._shown :]
        return msgspec.json.encode(found)


def _tokens_of(logprobs: bytes, *, chat: bool) -> list[EarlyToken]:
    """The tokens of a chunk's `logprobs`; none where it has another shape."""
    try:
        if chat:
            entries = _chat.decode(logprobs).content or ()
            return [_token(e.token, e.logprob, [(top.token, top.logprob) for top in e.top_logprobs]) for e in entries]
        found = _text.decode(logprobs)
    except UNDECODABLE:
        return []
    tops = found.top_logprobs or [None] * len(found.tokens)
    return [
        _token(token, logprob, list((top or {}).items()))
        for token, logprob, top in zip(found.tokens, found.token_logprobs, tops, strict=False)
        if logprob is not None
    ]


def _token(token: str, logprob: float, top: list[tuple[str, float]]) -> EarlyToken:
    return EarlyToken(logprob, tuple(sorted((value for name, value in top if name != token), reverse=True)))
