"""Recorded exchanges of this wire, and how the vendor's own SDK reads them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cloud.anthropic.codec import AnthropicCodec
from cloud.backend import plain_capabilities
from runtime.contract.codec import Decoder
from runtime.contract.events import (
    ArgumentsDelta,
    Event,
    Failed,
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

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass(slots=True)
class Answer:
    """An answer folded, as a client would see it."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    opaque: list[Any] = field(default_factory=list)
    stop: str | None = None
    sequence: str | None = None
    usage: Usage | None = None
    failed: bool = False


def codec() -> AnthropicCodec:
    return AnthropicCodec(lambda: NOW)


def target(model: str) -> Target:
    return Target(f"anthropic/{model}", "anthropic", model, plain_capabilities("anthropic", model, own_server=False))


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
                seal = event.signature or event.redacted
                out.signatures += [seal.partition("#")[2]] if seal else []
            case ToolCallStart():
                calls[event.index] = event
            case ArgumentsDelta():
                arguments.setdefault(event.index, []).append(event.text)
            case OpaqueBlock():
                out.opaque.append(event.block.value)
            case UsageReport():
                out.usage = event.usage
            case Stop():
                out.stop, out.sequence = event.raw, event.stop_sequence
            case Failed():
                out.failed = True
    whole = [] if out.failed else list(calls.items())
    out.calls = [(call.id, call.name, json.loads("".join(arguments[n]))) for n, call in whole]
    return out


class Sdk:
    """The vendor's own client, answered from memory."""

    def __init__(self) -> None:
        self._memory = Memory()
        sdk = pytest.importorskip("anthropic")
        self._client = sdk.Anthropic(api_key="k", max_retries=0, http_client=self._memory.client)

    def stream(self, body: bytes) -> Answer:
        self._memory.holds(body, "text/event-stream")
        with self._client.beta.messages.stream(**_ASK) as stream:
            return _of_message(stream.get_final_message())

    def whole(self, body: bytes) -> Answer:
        self._memory.holds(body, "application/json")
        return _of_message(self._client.beta.messages.create(**_ASK))


_ASK: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}


def _of_message(read: Any) -> Answer:
    message = read.model_dump(mode="json", by_alias=True, warnings=False)
    out = Answer(stop=message["stop_reason"], sequence=message["stop_sequence"], usage=_usage(message["usage"]))
    for block in message["content"]:
        match block["type"]:
            case "text":
                out.text += block["text"]
            case "thinking":
                out.reasoning += block["thinking"]
                out.signatures += [block["signature"]] if block["signature"] else []
            case "redacted_thinking":
                out.signatures.append(block["data"])
            case "tool_use":
                out.calls.append((block["id"], block["name"], block["input"]))
            case _:
                out.opaque.append(block)
    return out


def _usage(said: dict[str, Any]) -> Usage:
    """The usage billed at the model's price; the counts of a compaction are not part of the answer's."""
    spent = [said, *(step for step in said.get("iterations") or () if step["type"] == "compaction")]
    read, written = (sum(each[f"cache_{name}_input_tokens"] or 0 for each in spent) for name in ("read", "creation"))
    thinking = (said.get("output_tokens_details") or {}).get("thinking_tokens") or 0
    told, answered = (sum(each[name] for each in spent) for name in ("input_tokens", "output_tokens"))
    searches = (said.get("server_tool_use") or {}).get("web_search_requests") or 0
    return Usage(told + read + written, answered, read, written, thinking, searches=searches)


def without_nothing(value: Any) -> Any:
    """The value without empty members, which the SDK fills in."""
    if isinstance(value, dict):
        return {name: without_nothing(inner) for name, inner in value.items() if inner is not None}
    return [without_nothing(inner) for inner in value] if isinstance(value, list) else value


def judge(shared: Path) -> Judge:
    return recorded.judge(shared, "anthropic")


def exchanges(shared: Path, wanted: Callable[[Any], bool]) -> list[Any]:
    """Recorded exchanges on this wire."""
    judge(shared)  # skips where it cannot be had
    return [each for each in recorded.exchanges(shared, "anthropic") if wanted(each)]


def other_streams(shared: Path) -> list[tuple[str, bytes]]:
    """Streams without their requests: those the vendor's SDK is tested with, and event data one to a line."""
    folder = shared / "recordings"
    own = [(path.name, path.read_bytes()) for path in sorted((folder / "anthropic-sdk-streams").glob("*_response.txt"))]
    lines = sorted((folder / "vercel-response-only" / "anthropic").glob("*.chunks.txt"))
    return own + [(path.name, raw) for path in lines for raw in _as_streams(path.read_text().splitlines())]


def _as_streams(lines: Iterable[str]) -> Iterable[bytes]:
    """One answer after the other."""
    out: list[str] = []
    for line in filter(str.strip, lines):
        kind = json.loads(line)["type"]
        out.append(f"event: {kind}\ndata: {line}\n\n")
        if kind == "message_stop":
            yield "".join(out).encode()
            out = []


def other_wholes(shared: Path) -> list[tuple[str, Any]]:
    folder = shared / "recordings" / "vercel-response-only" / "anthropic"
    return [(path.name, json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]
