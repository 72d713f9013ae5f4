"""A turn that pauses, as one answer.

While the vendor runs tools of its own, an answer may stop with `pause_turn`: the client sends its content back, and the model
continues. A client of this wire does that itself, and its bytes pass through. Other wires have no such stop reason: for their
clients the requests of one turn are joined to one stream, its blocks numbered on and its tokens added up. `PausedTurn` is
pure; the hop around another only opens the next request.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from runtime.contract.failures import HopError
from runtime.contract.hop import MOST_BODY, Hop, HttpCall, Reply, relay_chunks, rest_of
from runtime.dialects.anthropic_messages.fold import GrowingBlock
from runtime.wire import sse
from runtime.wire.raw_body import RawBody

MOST_ROUNDS = 8  # requests that continue one turn
_PAUSED = "pause_turn"
_OK = 200

Table = dict[str, Any]


class PausingCall(HttpCall, frozen=True):
    """A translated call whose answer may pause."""


class PausedTurn:
    """The streams of one turn as one.

    held: the events from the pause on, until it is known whether the turn continues. over: the stream has ended regularly.
    most_kept: bytes of content kept to be sent back; a longer turn is not continued. most_rounds: requests that continue it.
    """

    def __init__(self, most_kept: int = 32 << 20, most_rounds: int = MOST_ROUNDS) -> None:
        self._events = sse.Events()
        self._blocks: dict[int, GrowingBlock] = {}
        self._kept, self._most_kept = 0, most_kept
        self._first = 0  # number of this request's first block
        self._spent: Table = {}  # usage of the requests before this one
        self._used: Table = {}  # usage of this one
        self._container: str | None = None
        self.held = b""
        self.over = False
        self.rounds, self._most_rounds = 0, most_rounds

    def feed(self, piece: bytes) -> bytes:
        """The bytes that may be shown now."""
        return b"".join(map(self._take, self._events.feed(piece)))

    @property
    def can_continue(self) -> bool:
        """True if the turn paused, has content to send back, and is within its bounds."""
        within = self._kept <= self._most_kept and self.rounds < self._most_rounds
        return bool(self.held and self._blocks) and within

    def next(self, body: bytes) -> bytes:
        """The body that continues the turn. body: the one that began it; the bytes of its messages stay as they were."""
        first = RawBody(body)
        content = [block.whole() for block in self._blocks.values() if not block.empty_text]
        turn = msgspec.json.encode({"role": "assistant", "content": content})
        members = {"messages": first.value("messages").rstrip()[:-1] + b"," + turn + b"]"}
        if self._container is not None and "container" not in first.data:
            members["container"] = msgspec.json.encode(self._container)
        return first.spliced(members)

    def again(self) -> None:
        """The next request of the turn was answered: its stream follows."""
        self._events, self.held, self.over = sse.Events(), b"", False
        self._spent, self._used = _sum(self._spent, self._used), {}
        self._first = max(self._blocks) + 1
        self.rounds += 1

    def _take(self, event: sse.Event) -> bytes:
        """The event as it is shown: as it came, rewritten, or held back (empty)."""
        value: Table = {}
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value = _table(msgspec.json.decode(event.data or b"{}"))
        kind = value.get("type")
        if self.held:
            self.held += event.raw if len(self.held) < self._most_kept else b""
            self.over = self.over or kind == "message_stop"
            return b""
        if kind == "message_start":
            message = _table(value.get("message"))
            self._used |= _counts(message.get("usage"))
            self._note_container(message)
            return b"" if self.rounds else event.raw
        if kind == "message_delta":
            self._used |= _counts(value.get("usage"))
            delta = _table(value.get("delta"))
            self._note_container(delta)
            usage = {"usage": _sum(self._spent, self._used)}
            raw = _written(event, value | usage) if self.rounds else event.raw
            if delta.get("stop_reason") != _PAUSED:
                return raw
            self.held = raw
            return b""
        index = value.get("index")
        if type(index) is not int or kind not in ("content_block_start", "content_block_delta", "content_block_stop"):
            return event.raw
        index += self._first
        self._kept += len(event.raw)
        if self._kept > self._most_kept:
            self._blocks.clear()
        elif isinstance(begun := value.get("content_block"), dict):
            self._blocks[index] = GrowingBlock(begun)
        elif isinstance(piece := value.get("delta"), dict) and index in self._blocks:
            self._blocks[index].grow(piece)
        return _written(event, value | {"index": index}) if self._first else event.raw

    def _note_container(self, holder: Table) -> None:
        container = holder.get("container")
        if isinstance(container, dict) and isinstance(container.get("id"), str):
            self._container = container["id"]


class Pauses:
    """`runtime.contract.hop.Hop` around another: a turn that pauses is continued, and its requests are one answer."""

    def __init__(self, hop: Hop) -> None:
        self._hop = hop

    async def open(self, call: HttpCall, *, connect_s: float) -> Reply:
        reply = await self._hop.open(call, connect_s=connect_s)
        if not isinstance(call, PausingCall) or reply.status != _OK:
            return reply
        return _Joined(self._hop, call, connect_s, reply)

    async def aclose(self) -> None:
        await self._hop.aclose()


class _Joined:
    """`runtime.contract.hop.Reply` of a whole turn. A turn that cannot be continued ends with the pause, unfinished."""

    def __init__(self, hop: Hop, call: HttpCall, connect_s: float, reply: Reply) -> None:
        self._hop, self._call, self._connect_s, self._reply = hop, call, connect_s, reply
        self._turn = PausedTurn()
        self.status, self.headers = reply.status, reply.headers

    async def chunk(self) -> bytes:
        while True:
            piece = await self._reply.chunk()
            out = self._turn.feed(piece) if piece else b""
            if out:
                return out
            if piece and not self._turn.over:
                continue
            if not (self._turn.can_continue and await self._continue()):
                held, self._turn.held = self._turn.held, b""
                return held

    async def relay(self, take: Callable[[bytes], bool]) -> bool:
        return await relay_chunks(self, take)

    async def read(self, at_most: int = MOST_BODY) -> bytes:
        return await rest_of(self, at_most)

    def close(self) -> None:
        self._reply.close()

    async def _continue(self) -> bool:
        """True once the next request of the turn is answered; its reply replaces the last one."""
        body = self._turn.next(self._call.body)
        call = HttpCall(self._call.path, body, self._call.headers, self._call.method, self._call.cargo)
        try:
            reply = await self._hop.open(call, connect_s=self._connect_s)
        except HopError:
            return False
        if reply.status != _OK:
            reply.close()
            return False
        self._reply.close()
        self._reply = reply
        self._turn.again()
        return True


def _table(value: Any) -> Table:
    return value if isinstance(value, dict) else {}


def _counts(usage: Any) -> Table:
    """The counts that are given. They are cumulative: one that is not repeated stays."""
    return {name: value for name, value in _table(usage).items() if value is not None}


def _sum(first: Mapping[str, Any], second: Mapping[str, Any]) -> Table:
    """Counts added up, member by member; of other values the later one."""
    out: Table = dict(first)
    for name, value in second.items():
        before = first.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            out[name] = _sum(before, value)
        elif isinstance(before, int) and isinstance(value, int):
            out[name] = before + value
        elif value is not None or name not in first:
            out[name] = value
    return out


def _written(event: sse.Event, value: Table) -> bytes:
    return sse.encode(msgspec.json.encode(value), event.name)
