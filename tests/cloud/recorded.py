"""Reading recorded traffic, whichever vendor's wire it is on: the judge's modules, pieces of streams, the SDKs' transport.

The judge is a folder of plain modules beside the recordings: it is put on the path, so its modules are imported late.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from runtime.contract.codec import Decoder
from runtime.contract.events import Event
from runtime.contract.messages import Message, Request, Role, Text
from runtime.dialects.openai_chat.read_request import read_request
from runtime.wire import sse
from runtime.wire.raw_body import RawBody

ASKED = Request("m", (Message(Role.USER, (Text("x"),)),))


@dataclass(frozen=True, slots=True)
class Judge:
    """The judge's modules."""

    recordings: ModuleType
    synth: ModuleType
    reverse: ModuleType
    canon: ModuleType
    rules: ModuleType

    def derived(self, exchanges: Iterable[Any], skipped: Counter[str] | None = None) -> Iterator[tuple[Any, Any]]:
        """Each exchange with the request that a client of OpenAI's wire would have sent; impossible ones are counted."""
        for it in exchanges:
            try:
                sent = self.reverse.derive(it)
            except self.reverse.Skip as why:
                if skipped is not None:
                    skipped[str(why)] += 1
                continue
            yield it, sent


def judge(shared: Path, *needed: str) -> Judge:
    """needed: packages that the judge's reading of a wire stands on."""
    folder = str(shared / "wire_judge")
    if folder not in sys.path:
        sys.path.append(folder)
    for package in (*needed, "jsonschema"):
        pytest.importorskip(package)
    return Judge(*(importlib.import_module(name) for name in Judge.__dataclass_fields__))


@cache
def exchanges(shared: Path, *wires: str) -> tuple[Any, ...]:
    return tuple(judge(shared).recordings.load(shared / "recordings", list(wires)))


def asked(model: str, sent: dict[str, Any]) -> Request:
    """The request of a client of OpenAI's wire, for this model (PROVIDER/MODEL)."""
    return read_request(RawBody(json.dumps({"model": model} | sent).encode()))


def decoded(pieces: Iterable[bytes], decoder: Decoder) -> list[Event]:
    """The events of a stream that arrives in these pieces."""
    framing, out = sse.Events(), list[Event]()
    for piece in pieces:
        for event in framing.feed(piece):
            if event.data is not None:
                out += decoder.feed(event.name.decode(), event.data)
    return [*out, *decoder.finish()]


def cut(raw: bytes, size: int) -> list[bytes]:
    return [raw[at : at + size] for at in range(0, len(raw), size)]


def longest(size: int) -> int:
    """The longest stream to read in pieces of this size: byte by byte takes its time."""
    return 8_000 if size < 64 else 1_000_000


class Memory:
    """A client's transport that answers every request with the bytes in the slot."""

    def __init__(self) -> None:
        self._httpx = pytest.importorskip("httpx2")
        self._answer = (b"", "")
        self.client = self._httpx.Client(transport=self._httpx.MockTransport(self._answered))

    def holds(self, body: bytes, kind: str) -> None:
        self._answer = (body, kind)

    def _answered(self, _: Any) -> Any:
        body, kind = self._answer
        return self._httpx.Response(200, content=body, headers={"content-type": kind})
