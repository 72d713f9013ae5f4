"""An upstream in memory: a hop that plays turns, one per call, and remembers what it was asked and who hung up."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloud.openai.compatible import OpenAICodec
from runtime.contract.codec import Codec
from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.hop import MOST_BODY, HttpCall, relay_chunks, rest_of
from runtime.contract.targets import LOCAL, Capabilities, Target, Timeouts

CUT = HopError(Failure(Kind.BROKEN_STREAM, Disposition.NEXT_CANDIDATE, "the answer was cut"))
RESET = HopError(Failure(Kind.DOWN, Disposition.RETRY_HERE, "connection reset"))


class Silence:
    """Nothing, for ever."""

    async def wait(self) -> None:
        await asyncio.get_running_loop().create_future()


class Gate(Silence):
    """Silence until it is opened."""

    def __init__(self) -> None:
        self._open = asyncio.Event()

    async def wait(self) -> None:
        await self._open.wait()

    def open(self) -> None:
        self._open.set()


HANG = Silence()

Piece = bytes | HopError | Silence


def chunk(text: str = "", finish: str | None = None, **more: Any) -> bytes:
    """One chat chunk as an SSE event."""
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return b"data: " + json.dumps({"model": "m", "choices": [choice], **more}).encode() + b"\n\n"


ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"


def told(text: str, *, usage: bool = True) -> tuple[bytes, ...]:
    """A good stream that says `text` in two chunks."""
    half = len(text) // 2
    events = (ROLE, chunk(text[:half]), chunk(text[half:]), chunk(finish="stop"))
    return (*events, *((USAGE,) if usage else ()), DONE)


def whole(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 7, "completion_tokens": 2}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}).encode()


@dataclass
class Turn:
    """One call's answer. A HopError in `pieces` cuts it there; `wait` holds its head back."""

    pieces: Sequence[Piece] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    refuse: HopError | None = None
    wait: Silence | None = None


def error(status: int, message: str = "no", code: str | None = None, **headers: str) -> Turn:
    body = json.dumps({"error": {"message": message, "code": code}}).encode()
    return Turn([body], status, {name.replace("_", "-"): value for name, value in headers.items()})


class ScriptedReply:
    def __init__(self, turn: Turn, heard: Callable[[], None]) -> None:
        self._heard = heard
        self.status, self.headers = turn.status, turn.headers
        self._left = list(turn.pieces)
        self.closed = self.closed_early = False

    async def chunk(self) -> bytes:
        while self._left:
            piece = self._left[0]
            if isinstance(piece, Silence):
                await piece.wait()
                self._left.pop(0)
                continue
            self._left.pop(0)
            if isinstance(piece, HopError):
                raise piece
            self._heard()
            return piece
        return b""

    async def relay(self, take: Callable[[bytes], bool]) -> bool:
        return await relay_chunks(self, take)

    async def read(self, at_most: int = MOST_BODY) -> bytes:
        return await rest_of(self, at_most)

    def close(self) -> None:
        self.closed = True
        self.closed_early = bool(self._left)


class ScriptedHop:
    """Plays `turns` in order, the last one for ever. `calls` and `replies` are what a test looks at."""

    def __init__(self, *turns: Turn) -> None:
        self.turns = list(turns)
        self.calls: list[HttpCall] = []
        self.replies: list[ScriptedReply] = []
        self.cancelled = 0
        self.last_byte_at: float | None = None

    def heard(self) -> None:
        self.last_byte_at = time.monotonic()

    async def open(self, call: HttpCall, *, connect_s: float) -> ScriptedReply:
        self.calls.append(call)
        turn = self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]
        if turn.wait is not None:
            try:
                await turn.wait.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if turn.refuse is not None:
            raise turn.refuse
        self.replies.append(ScriptedReply(turn, self.heard))
        return self.replies[-1]

    async def aclose(self) -> None: ...

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(call.body) for call in self.calls]


@dataclass
class FakeLane:
    name: str
    hop: ScriptedHop
    model: str = "m"
    ready: bool = True
    slots: int | None = None


@dataclass
class FakeBackend:
    uploads = None
    target: Target
    lanes: list[FakeLane]
    codec: Codec = field(default_factory=lambda: OpenAICodec(_never))


def _never() -> Any:
    raise AssertionError("no date is read here")


QUICK = Timeouts(connect=0.2, first_token=0.2, idle=0.2, total=3.0)


def cloud(name: str, *turns: Turn, **facts: Any) -> FakeBackend:
    """A cloud target that plays turns."""
    dialects = frozenset({"openai_chat", "openai_completions"})
    target = Target(name, "vendor", f"{name}-model", dialects=dialects, timeouts=facts.pop("timeouts", QUICK), **facts)
    return FakeBackend(target, [FakeLane(target.label, ScriptedHop(*turns), target.model)])


def engine_backend(*lanes: tuple[Turn, ...], timeouts: Timeouts = QUICK) -> FakeBackend:
    """The box's engine with one lane per tuple of turns."""
    can = Capabilities(completions=True, embeddings=True, context_tokens=2048)
    dialects = frozenset({"openai_chat", "openai_completions", "openai_embeddings"})
    target = Target(LOCAL, LOCAL, "small", can, on_box=True, dialects=dialects, timeouts=timeouts)
    return FakeBackend(
        target, [FakeLane(f"replica-{n}", ScriptedHop(*turns), "small-id") for n, turns in enumerate(lanes)]
    )
