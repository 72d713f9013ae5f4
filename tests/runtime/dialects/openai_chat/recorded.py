"""Recorded exchanges of the OpenAI chat wire, from the shared folder. No recording is named here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDERS = ("openai", "groq", "deepseek", "openrouter")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call and its answer. sse: the recorded stream, "" where the answer was whole; body: the whole answer."""

    id: str
    request: dict[str, Any]
    status: int
    sse: str
    body: dict[str, Any] | None

    @property
    def as_stream(self) -> bytes:
        """The answer as the decoder takes it: a whole one as one event."""
        return self.sse.encode() if self.sse else b"data: " + json.dumps(self.body).encode() + b"\n\n"

    @property
    def chunks(self) -> list[dict[str, Any]]:
        lines = self.sse.replace("\r\n", "\n").split("\n")
        data = (line[5:].strip() for line in lines if line.startswith("data:"))
        return [json.loads(text) for text in data if text.startswith("{")]

    @property
    def failed(self) -> bool:
        """An error inside a stream."""
        return any("error" in chunk for chunk in self.chunks)


def exchanges(shared: Path) -> list[Exchange]:
    files = (path for folder in FOLDERS for path in sorted((shared / "recordings" / folder).glob("*.json")))
    return [exchange for path in files for exchange in _exchanges(path)]


def _exchanges(path: Path) -> Iterator[Exchange]:
    for place, each in enumerate(json.loads(path.read_text()).get("interactions", [])):
        request, response = each["request"], each["response"]
        if "/chat/completions" not in request["url"] or not isinstance(request["body"], dict):
            continue
        body, text = response.get("body"), (response.get("text") or "").strip()
        if body is None and text.startswith("{"):
            body, text = json.loads(text), ""
        if body is not None or text:
            name = f"{path.parent.name}/{path.stem}#{place}"
            yield Exchange(name, request["body"], response["status"], response["text"] if text else "", body)
