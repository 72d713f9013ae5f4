"""The event stream of an answer as events. Each chunk is a piece of the whole answer; a call is in one piece.

Never raises: a chunk that is not of this wire ends the answer as a failure. Blocks are numbered as they begin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from cloud.gemini import signatures
from cloud.gemini.faults import classify
from cloud.gemini.grounding import Sources
from cloud.gemini.names import WIRE, Table
from runtime.contract.events import (
    ArgumentsDelta,
    BlockEnd,
    Event,
    Failed,
    Finish,
    Logprobs,
    MediaOut,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Stop,
    TextDelta,
    TokenLogprob,
    ToolCallStart,
    UsageReport,
)
from runtime.contract.failures import Disposition, Failure, Kind
from runtime.contract.messages import Opaque
from runtime.contract.usage import Usage

_FINISHES: dict[str, Finish] = {"STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "length"}
_FILTERED = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "LANGUAGE",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "IMAGE_OTHER",
    }
)
# The model wrote something that is no answer; another try may do better.
_GARBLED = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
    }
)
# Members of a candidate that only this wire has; they go with the end of the answer.
_KEPT = ("avgLogprobs", "groundingMetadata", "safetyRatings", "urlContextMetadata", "urlRetrievalMetadata")
_COUNTS = ("promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
_SHOWN = 4096  # bytes of a bad chunk that go into a failure
_MOST_ANSWER = 64 << 20  # bytes of all chunks of an answer

_TEXT, _THOUGHT = "text", "thought"
_USAGE_EVERY = 8  # plain chunks between two reports of usage


class _PlainPart(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    thought: bool = False


class _PlainContent(msgspec.Struct, forbid_unknown_fields=True):
    parts: tuple[_PlainPart]
    role: str = ""


class _PlainCandidate(msgspec.Struct, forbid_unknown_fields=True):
    content: _PlainContent
    index: Literal[0] = 0


class _PlainChunk(msgspec.Struct, forbid_unknown_fields=True):
    """Most chunks of most answers: some text and nothing else. Read without a look at each member."""

    candidates: tuple[_PlainCandidate]
    usageMetadata: msgspec.Raw = msgspec.Raw(b"{}")  # noqa: N815  # the wire's own name
    modelVersion: str = ""  # noqa: N815
    responseId: str = ""  # noqa: N815
    createTime: str = ""  # noqa: N815


_plain = msgspec.json.Decoder(_PlainChunk)


class GeminiAnswerReader:
    """`runtime.contract.codec.Decoder`. closed: never, because this wire has no closing mark.

    mint: makes an id for a call that has none, from its number in the answer. most_answer: bytes of all chunks of an answer.
    """

    def __init__(self, mint: Callable[[int], str], most_answer: int = _MOST_ANSWER) -> None:
        self._mint = mint
        self._left = most_answer
        self.closed = self._started = self._over = False
        self._stopped = self._finished = False  # nothing has come since a finish reason; there has been one
        self._next = 0
        self._open: tuple[str, int] | None = None
        self._called = 0
        self._ids: set[str] = set()
        self._counted: Table = {}  # the usage that was reported last
        self._late: msgspec.Raw | None = None  # the usage of plain chunks, not yet reported
        self._seen = 0
        self._kept: Table = {}
        self._sources = Sources()
        self._cited: set[tuple[str | None, str | None, int | None, int | None]] = set()  # emitted already

    def feed(self, name: str, data: bytes) -> Sequence[Event]:  # events have no names on this wire
        if self._over:
            return ()
        self._left -= len(data)
        if self._left < 0:
            return self._fail(_garbled("the answer is too long", data))
        if self._started and not self._stopped:
            try:
                plain = _plain.decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass  # not plain
            else:
                return self._plain(plain)
        try:
            value = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._fail(_garbled("an event is not JSON", data))
        chunks = value if isinstance(value, list) else [value]
        out: list[Event] = []
        for chunk in chunks:
            if not isinstance(chunk, dict):
                out += self._fail(_garbled("an event is no object", data))
            elif not self._over:
                self._chunk(chunk, out)
        return out

    def finish(self) -> Sequence[Event]:
        if self._over or self._finished:
            return ()
        cut = Failure(Kind.BROKEN_STREAM, Disposition.NEXT_CANDIDATE, "the stream ended without a finish reason")
        return self._fail(cut)

    def _plain(self, plain: _PlainChunk) -> list[Event]:
        part = plain.candidates[0].content.parts[0]
        out: list[Event] = []
        if part.text:
            kind = _THOUGHT if part.thought else _TEXT
            index = self._open[1] if self._open is not None and self._open[0] is kind else self._block(kind, out)
            if part.thought:
                out.append(ReasoningDelta(index, part.text))
            else:
                out.append(TextDelta(index, part.text))
                self._sources.text(part.text)
        self._late = plain.usageMetadata
        self._seen += 1
        if self._seen % _USAGE_EVERY == 0:
            self._settle(out)
        return out

    def _settle(self, out: list[Event]) -> None:
        """Reports the usage of the plain chunks so far."""
        if self._late is not None:
            self._count(_table(msgspec.json.decode(self._late)), out)
            self._late = None

    def _chunk(self, chunk: Table, out: list[Event]) -> None:
        if "error" in chunk:
            out += self._fail(classify(200, {}, msgspec.json.encode(chunk)[:_SHOWN]))
            return
        if not self._started:
            self._started = True
            out.append(Start(_word(chunk.get("responseId")), _word(chunk.get("modelVersion"))))
        # The first answer: more than one is never asked for.
        candidate = next((one for one in _tables(chunk.get("candidates")) if not one.get("index")), {})
        for part in _tables(_table(candidate.get("content")).get("parts")):
            empty = not (set(part) - {"text", "thought", "thoughtSignature"}) and not part.get("text")
            # A model that runs code finishes in the middle and goes on: the last finish reason holds.
            self._stopped = self._stopped and empty
            self._part(part, out)
        # The members beside the parts: some are kept for the end; sources and log probabilities are read.
        for name in _KEPT:
            if candidate.get(name):
                self._kept[name] = candidate[name]
        self._sources.add(_table(candidate.get("groundingMetadata")), _table(candidate.get("citationMetadata")))
        tokens = _logprobs(_table(candidate.get("logprobsResult")))
        thinks = self._open is not None and self._open[0] == _THOUGHT
        if tokens and not thinks and not self._stopped:
            out.append(Logprobs(self._open[1] if self._open else max(0, self._next - 1), tokens))
        self._settle(out)
        self._count(_table(chunk.get("usageMetadata")), out)
        if not self._stopped:
            self._end(chunk, candidate, out)

    def _part(self, part: Table, out: list[Event]) -> None:
        signature = _word(part.get("thoughtSignature"))
        text = part.get("text")
        if isinstance(part.get("functionCall"), dict):
            self._call(part["functionCall"], signature, out)
            return
        if isinstance(text, str) and part.get("thought") is True:
            mark = signatures.marked(signature) if signature else None
            if text or mark:
                out.append(ReasoningDelta(self._block(_THOUGHT, out), text, mark))
            if mark:
                self._close(out)
            return
        if isinstance(text, str):
            if text:
                out.append(TextDelta(self._block(_TEXT, out), text))
                self._sources.text(text)
        elif isinstance(part.get("inlineData"), dict):
            blob = part["inlineData"]
            out.append(MediaOut(self._alone(out), str(blob.get("mimeType") or ""), str(blob.get("data") or "")))
        elif set(part) - {"thoughtSignature", "thought"}:
            out.append(OpaqueBlock(self._alone(out), Opaque(WIRE, part)))
            return
        # A signature on a part that is no thought becomes a block of its own behind it.
        if signature:
            out.append(ReasoningDelta(self._alone(out), "", signatures.marked(signature)))

    def _call(self, call: Table, signature: str | None, out: list[Event]) -> None:
        index = self._alone(out)
        signature = signature or _word(call.get("thoughtSignature"))  # where older models put it
        id = _word(call.get("id"))
        if id is None or id in self._ids:
            id = self._mint(self._called)
        self._ids.add(id)
        self._called += 1
        out.append(ToolCallStart(index, id, str(call.get("name") or ""), signature))
        arguments = call.get("args")
        if isinstance(arguments, dict) and arguments:
            out.append(ArgumentsDelta(index, msgspec.json.encode(arguments).decode()))
        out.append(BlockEnd(index))

    def _block(self, kind: str, out: list[Event]) -> int:
        """The open block of this kind, else a new one."""
        if self._open is None or self._open[0] != kind:
            self._close(out)
            self._open = (kind, self._next)
            self._next += 1
        return self._open[1]

    def _alone(self, out: list[Event]) -> int:
        """The number of a block that is one event."""
        self._close(out)
        self._next += 1
        return self._next - 1

    def _close(self, out: list[Event]) -> None:
        if self._open is not None:
            out.append(BlockEnd(self._open[1]))
            self._open = None

    def _count(self, given: Table, out: list[Event]) -> None:
        """Reports usage. Counts are cumulative, and the last one holds, even if it is smaller than an earlier one."""
        if given == self._counted or not any(isinstance(given.get(name), int) for name in _COUNTS):
            return
        self._counted = given
        prompt, tools, answer, thoughts = (_number(given.get(name)) for name in _COUNTS)
        cached = _number(given.get("cachedContentTokenCount"))
        queries = _table(self._kept.get("groundingMetadata")).get("webSearchQueries")
        searches = len(queries) if isinstance(queries, list) else 0
        usage = Usage(prompt + tools, answer + thoughts, cached, reasoning=thoughts, searches=searches)
        rest = {name: given[name] for name in ("serviceTier", "trafficType") if name in given}
        out.append(UsageReport(usage, {WIRE: rest} if rest else {}))

    def _end(self, chunk: Table, candidate: Table, out: list[Event]) -> None:
        reason = _word(candidate.get("finishReason"))
        message = _word(candidate.get("finishMessage"))
        if reason is None and not _tables(chunk.get("candidates")):
            feedback = _table(chunk.get("promptFeedback"))
            reason, message = _word(feedback.get("blockReason")), _word(feedback.get("blockReasonMessage"))
            if reason is None:
                return
            self._kept["promptFeedback"] = feedback
            self._stop("content_filter", reason, f"The prompt was blocked: {message or reason}", out)
            return
        if reason is None or reason == "FINISH_REASON_UNSPECIFIED":
            return
        if reason in _GARBLED:
            out += self._fail(Failure(Kind.GARBLED, Disposition.RETRY_HERE, message or reason, code=reason))
            return
        if reason in _FILTERED:
            self._stop("content_filter", reason, f"The answer was blocked: {message or reason}", out)
            return
        finish = _FINISHES.get(reason, "stop")
        self._stop("tool_calls" if finish == "stop" and self._called else finish, reason, None, out)

    def _stop(self, finish: Finish, reason: str, refusal: str | None, out: list[Event]) -> None:
        self._close(out)
        for cited in self._sources.citations(max(0, self._next - 1)):
            if (source := (cited.url, cited.title, cited.start, cited.end)) not in self._cited:
                self._cited.add(source)
                out.append(cited)
        if refusal:
            out.append(RefusalDelta(refusal))
        out.append(Stop(finish, reason, extra={WIRE: self._kept} if self._kept else {}))
        self._stopped = self._finished = True

    def _fail(self, failure: Failure) -> list[Event]:
        self._over = True
        out: list[Event] = []
        self._settle(out)
        return [*out, Failed(failure)]


def _logprobs(result: Table) -> tuple[TokenLogprob, ...]:
    top = _tables(result.get("topCandidates"))
    return tuple(
        TokenLogprob(
            str(chosen.get("token") or ""),
            _float(chosen.get("logProbability")),
            tuple(
                (str(one.get("token") or ""), _float(one.get("logProbability")))
                for one in (_tables(top[place].get("candidates")) if place < len(top) else ())
            ),
        )
        for place, chosen in enumerate(_tables(result.get("chosenCandidates")))
    )


def _garbled(message: str, data: bytes) -> Failure:
    return Failure(Kind.GARBLED, Disposition.NEXT_CANDIDATE, message, body=data[:_SHOWN])


def _table(value: Any) -> Table:
    return value if isinstance(value, dict) else {}


def _tables(value: Any) -> list[Table]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _float(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
