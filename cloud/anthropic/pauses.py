"""A turn that pauses, as one answer.

While tools run at the vendor, an answer may stop with `pause_turn`: it wants its own content sent back, and goes on. A client
of this wire does that itself, and its bytes pass through. Other wires have no such word: for them the requests of one turn are
joined to one stream, blocks numbered on, tokens added up. `Turn` is pure; the hop around another only opens the next request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runtime.contract.failures import HopError
from runtime.contract.hop import MOST_BODY, Hop, HttpCall, Reply, rest_of
from runtime.wire import sse
from runtime.wire.raw_body import RawBody

MOST = 8  # times that one turn is gone on with
_PAUSED = "pause_turn"
_OK = 200

Table = dict[str, Any]


class PausingCall(HttpCall, frozen=True):
    """A translated call whose answer may pause."""


class Turn:
    """The streams of one turn as one. held: what said that the turn pauses, until it is known whether it goes on."""

    def __init__(self) -> None:
        self._events = sse.Events()
        self._blocks: dict[int, _Block] = {}
        self._first = 0  # number of this request's first block
        self._spent: Table = {}  # tokens of the requests before
        self._used: Table = {}  # of this one
        self._container: str | None = None
        self.held = b""
        self.over = False  # the closing mark came behind it
        self.rounds = 0

    def feed(self, piece: bytes) -> bytes:
        """What may be seen now."""
        return b"".join(map(self._take, self._events.feed(piece)))

    @property
    def paused(self) -> bool:
        """Whether it can go on: something was said, and it was not gone on with too often."""
        return bool(self.held and self._blocks) and self.rounds < MOST

    def next(self, body: bytes) -> bytes:
        """The body that goes on with the turn. body: the one that began it; the bytes of its messages stay as they were."""
        asked = RawBody(body)
        said = {
            "role": "assistant",
            "content": [block.whole() for block in self._blocks.values() if block.worth_sending],
        }
        messages = asked.value("messages").rstrip()[:-1] + b"," + msgspec.json.encode(said) + b"]"
        named = self._container is not None and "container" not in asked.data
        return asked.spliced(
            {"messages": messages} | ({"container": msgspec.json.encode(self._container)} if named else {})
        )

    def again(self) -> None:
        """The next request of the turn was answered: its stream follows."""
        self._events, self.held, self.over = sse.Events(), b"", False
        self._spent, self._used = _sum(self._spent, self._used), {}
        self._first = max(self._blocks) + 1
        self.rounds += 1

    def _take(self, event: sse.Event) -> bytes:
        if self.held:
            self.held += event.raw
            self.over = self.over or _table(event.data).get("type") == "message_stop"
            return b""
        told = _table(event.data)
        match told.get("type"):
            case "message_start":
                return self._begun(event, told)
            case "message_delta":
                return self._ended(event, told)
            case "content_block_start" | "content_block_delta" | "content_block_stop":
                return self._block(event, told)
            case _:
                return event.raw

    def _begun(self, event: sse.Event, told: Table) -> bytes:
        message = told.get("message") or {}
        self._used |= _known(message.get("usage"))
        self._note_container(message)
        return b"" if self.rounds else event.raw

    def _ended(self, event: sse.Event, told: Table) -> bytes:
        self._used |= _known(told.get("usage"))
        delta = told.get("delta") or {}
        self._note_container(delta)
        raw = event.raw
        if self.rounds:
            raw = _written(event, told | {"usage": _sum(self._spent, self._used)})
        if delta.get("stop_reason") != _PAUSED:
            return raw
        self.held = raw
        return b""

    def _note_container(self, told: Table) -> None:
        container = told.get("container")
        if isinstance(container, dict) and isinstance(container.get("id"), str):
            self._container = container["id"]

    def _block(self, event: sse.Event, told: Table) -> bytes:
        index = told.get("index")
        if type(index) is not int:
            return event.raw
        index += self._first
        if isinstance(begun := told.get("content_block"), dict):
            self._blocks[index] = _Block(begun)
        elif isinstance(delta := told.get("delta"), dict) and index in self._blocks:
            self._blocks[index].grow(delta)
        return _written(event, told | {"index": index}) if self._first else event.raw


class _Block:
    """A block of the answer, as the vendor wants it back: as it was."""

    def __init__(self, begun: Table) -> None:
        self._said, self._input = dict(begun), ""

    def grow(self, delta: Table) -> None:
        if delta.get("type") == "input_json_delta":
            self._input += delta.get("partial_json") or ""
        elif delta.get("type") == "citations_delta":
            self._said["citations"] = [*(self._said.get("citations") or ()), delta.get("citation")]
        else:
            self._grow(delta)

    def _grow(self, delta: Table) -> None:
        for name in delta.keys() - {"type"}:
            before, more = self._said.get(name), delta[name]
            both = isinstance(before, str) and isinstance(more, str)
            self._said[name] = before + more if both else more

    @property
    def worth_sending(self) -> bool:
        """The wire refuses empty texts."""
        return self._said.get("type") != "text" or bool(self._said.get("text"))

    def whole(self) -> Table:
        return self._said | ({"input": msgspec.Raw(self._input.encode())} if self._input else {})


class Pauses:
    """`runtime.contract.hop.Hop` around another: a turn that pauses is gone on with."""

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
    """`runtime.contract.hop.Reply` of a whole turn. Where it cannot be gone on with, it ends with the pause, unfinished."""

    def __init__(self, hop: Hop, call: HttpCall, connect_s: float, reply: Reply) -> None:
        self._hop, self._call, self._connect_s, self._reply = hop, call, connect_s, reply
        self._turn = Turn()
        self.status, self.headers = reply.status, reply.headers

    async def chunk(self) -> bytes:
        while True:
            piece = await self._reply.chunk()
            out = self._turn.feed(piece) if piece else b""
            if out:
                return out
            if piece and not self._turn.over:
                continue
            if not (self._turn.paused and await self._goes_on()):
                held, self._turn.held = self._turn.held, b""
                return held

    async def read(self, at_most: int = MOST_BODY) -> bytes:
        return await rest_of(self, at_most)

    def close(self) -> None:
        self._reply.close()

    async def _goes_on(self) -> bool:
        body = self._turn.next(self._call.body)
        call = HttpCall(self._call.path, body, self._call.headers, self._call.method)
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


def _table(data: bytes | None) -> Table:
    try:
        told = msgspec.json.decode(data or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _known(usage: Any) -> Table:
    """Counts are cumulative; what is not said again stays."""
    return {name: value for name, value in usage.items() if value is not None} if isinstance(usage, dict) else {}


def _sum(first: Mapping[str, Any], second: Mapping[str, Any]) -> Table:
    """Counts added up, member by member; of all else the later word."""
    return {name: _added(first.get(name), second.get(name)) for name in {**first, **second}}


def _added(one: Any, two: Any) -> Any:
    if isinstance(one, dict) and isinstance(two, dict):
        return _sum(one, two)
    if isinstance(one, int) and isinstance(two, int):
        return one + two
    return one if two is None else two


def _written(event: sse.Event, told: Table) -> bytes:
    return sse.encode(msgspec.json.encode(told), event.name)
