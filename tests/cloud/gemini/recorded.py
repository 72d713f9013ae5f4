"""Recorded exchanges of this wire, and how the vendor's own SDK reads them."""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cloud.catalogue import known, plain
from cloud.gemini.codec import GeminiCodec
from runtime.contract.codec import Decoder
from runtime.contract.events import (
    ArgumentsDelta,
    Event,
    Failed,
    MediaOut,
    OpaqueBlock,
    ReasoningDelta,
    Stop,
    TextDelta,
    ToolCallStart,
    UsageReport,
)
from runtime.contract.targets import Target
from runtime.contract.usage import Usage
from tests.cloud import recorded
from tests.cloud.recorded import ASKED, Judge, Memory


@dataclass(slots=True)
class Answer:
    """An answer folded, as a client would see it."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    opaque: int = 0
    media: int = 0
    stop: str | None = None
    usage: Usage | None = None
    failed: bool = False


def codec() -> GeminiCodec:
    return GeminiCodec(draw=lambda: "seed")


def target(model: str) -> Target:
    entry = known("gemini", model)
    return Target(f"gemini/{model}", "gemini", model, entry or plain("gemini"))


def decoded(pieces: Iterable[bytes], decoder: Decoder | None = None) -> list[Event]:
    """The events of a stream that arrives in these pieces."""
    return recorded.decoded(pieces, decoder or codec().decoder(ASKED))


def folded(events: Sequence[Event]) -> Answer:
    out = Answer()
    arguments: dict[int, list[str]] = {}
    calls: dict[int, ToolCallStart] = {}
    for event in events:
        match event:
            case TextDelta():
                out.text += event.text
            case ReasoningDelta():
                out.reasoning += event.text
                out.signatures += [event.signature.partition("#")[2]] if event.signature else []
            case ToolCallStart():
                calls[event.index] = event
                out.signatures += [event.signature] if event.signature else []
            case ArgumentsDelta():
                arguments.setdefault(event.index, []).append(event.text)
            case OpaqueBlock():
                out.opaque += 1
                sealed = event.block.value.get("thoughtSignature")
                out.signatures += [sealed] if sealed else []
            case MediaOut():
                out.media += 1
            case UsageReport():
                out.usage = event.usage
            case Stop():
                out.stop = event.raw
            case Failed():
                out.failed = True
    out.calls = [(call.name, json.loads("".join(arguments.get(n, ())) or "{}")) for n, call in calls.items()]
    return out


class Sdk:
    """The vendor's own client, answered from memory."""

    def __init__(self) -> None:
        pytest.importorskip("google.genai")
        self._memory = Memory()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            genai = importlib.import_module("google.genai")
            options = {"api_version": "v1beta", "httpx_client": self._memory.client}
            self._models: Any = genai.Client(api_key="k", http_options=options).models

    def stream(self, body: bytes) -> Answer:
        self._memory.holds(body, "text/event-stream")
        return _of_replies(list(self._models.generate_content_stream(model="m", contents="x")))

    def whole(self, body: bytes) -> Answer:
        self._memory.holds(body, "application/json")
        return _of_replies([self._models.generate_content(model="m", contents="x")])


def _of_replies(replies: Sequence[Any]) -> Answer:
    out = Answer()
    queries: list[str] = []
    for read in (reply.model_dump(mode="json", by_alias=True, exclude_none=True) for reply in replies):
        blocked = read.get("promptFeedback", {}).get("blockReason")
        candidate = next(iter(read.get("candidates") or ()), {"finishReason": blocked} if blocked else {})
        out.stop = candidate.get("finishReason", out.stop)
        for part in candidate.get("content", {}).get("parts") or ():
            _of_part(part, out)
        counts = read.get("usageMetadata") or {}
        queries = candidate.get("groundingMetadata", {}).get("webSearchQueries") or queries
        out.usage = _usage(counts, len(queries)) if "promptTokenCount" in counts else out.usage
    return out


def _of_part(part: dict[str, Any], out: Answer) -> None:
    out.signatures += [_alphabet(part["thoughtSignature"])] if part.get("thoughtSignature") else []
    if "functionCall" in part:
        out.calls.append((part["functionCall"]["name"], part["functionCall"].get("args") or {}))
    elif "text" in part and part.get("thought"):
        out.reasoning += part["text"]
    elif "text" in part:
        out.text += part["text"]
    elif "inlineData" in part:
        out.media += 1
    elif set(part) - {"thoughtSignature", "thought"}:
        out.opaque += 1


def _alphabet(signature: str) -> str:
    """The SDK writes bytes in the other of base64's alphabets than the wire."""
    return signature.replace("-", "+").replace("_", "/")


def _usage(counts: dict[str, Any], searches: int) -> Usage:
    thoughts = counts.get("thoughtsTokenCount") or 0
    return Usage(
        prompt=counts["promptTokenCount"] + (counts.get("toolUsePromptTokenCount") or 0),
        completion=(counts.get("candidatesTokenCount") or 0) + thoughts,
        cached=counts.get("cachedContentTokenCount") or 0,
        reasoning=thoughts,
        searches=searches,
    )


def judge(shared: Path) -> Judge:
    return recorded.judge(shared, "google.ai.generativelanguage_v1beta")


def exchanges(shared: Path, wanted: Callable[[Any], bool]) -> list[Any]:
    """Recorded exchanges on this wire, by either of the vendor's doors."""
    judge(shared)  # skips where it cannot be had
    return [each for each in recorded.exchanges(shared, "gemini", "vertex") if wanted(each)]
