"""Tool calls as an OpenAI chat stream gives them in pieces. A call starts when its name is whole: with its first arguments,
with the next call, or at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from runtime.contract.events import ArgumentsDelta, BlockEnd, Event, Failed, ToolCallStart
from runtime.dialects.meter import garbled
from runtime.dialects.openai_chat.signatures import EXTRA, read_call_extra


class _Call:
    __slots__ = ("block", "early", "id", "name", "signature", "started")

    def __init__(self, call_id: str | None) -> None:
        self.block = 0
        self.early: list[str] = []  # arguments that came before the name
        self.id = call_id
        self.name = ""
        self.signature: str | None = None
        self.started = False


class Calls:
    """The calls of one answer. next_block: numbers a block. new_id: mints an id."""

    def __init__(self, next_block: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._next_block, self._new_id = next_block, new_id
        self._open: dict[int, _Call] = {}  # by the upstream's index
        self._last = -1
        self.made = 0

    @property
    def open(self) -> bool:
        """Whether a call has begun that is not yet ended."""
        return bool(self._open)

    def take(self, entry: Any) -> list[Event]:
        """One piece."""
        if not isinstance(entry, dict):
            return []
        function = entry.get("function")
        function = function if isinstance(function, dict) else {}
        events: list[Event] = []
        call = self._call(entry, function, events)
        if not call.started:
            _name(call, function.get("name"))
            call.signature = call.signature or read_call_extra(entry.get(EXTRA))
        arguments = _text(function.get("arguments"))
        if arguments and not call.name:
            call.early.append(arguments)
        elif arguments:
            self._start(call, events)
            events.append(ArgumentsDelta(call.block, arguments))
        return events

    def end(self) -> list[Event]:
        """What is still owed when the answer stops."""
        events: list[Event] = []
        for call in self._open.values():
            self._close(call, events)
        self._open.clear()
        return events

    def _call(self, entry: dict[str, Any], function: dict[str, Any], events: list[Event]) -> _Call:
        """The call this piece belongs to: a new index, or a new id and name under an old one, begins another."""
        given, call_id = entry.get("index"), entry.get("id")
        call_id = call_id if isinstance(call_id, str) and call_id else None
        index = given if isinstance(given, int) else self._unnumbered(call_id, function)
        call = self._open.get(index)
        if call is not None and call_id and function.get("name") and call.id not in (None, call_id):
            self._close(call, events)
            call = None
        if call is None:
            before = self._open.get(self._last)
            if before is not None and before.name:
                self._start(before, events)  # calls start in the order in which they came
            call = self._open[index] = _Call(call_id)
        call.id = call.id or call_id
        self._last = index
        return call

    def _unnumbered(self, call_id: str | None, function: dict[str, Any]) -> int:
        """The index of a piece that has none: by its id, else a new one for a name, else that of the last piece."""
        known = next((index for index, call in self._open.items() if call_id and call.id == call_id), None)
        if known is not None:
            return known
        return max(self._open, default=-1) + 1 if function.get("name") or self._last < 0 else self._last

    def _start(self, call: _Call, events: list[Event]) -> None:
        if call.started:
            return
        call.started = True
        call.block = self._next_block()
        call.id = call.id or self._new_id()
        self.made += 1
        events.append(ToolCallStart(call.block, call.id, call.name, call.signature))
        if call.early:
            events.append(ArgumentsDelta(call.block, "".join(call.early)))

    def _close(self, call: _Call, events: list[Event]) -> None:
        if not call.name:
            events.append(Failed(garbled("a tool call came without a name")))
            return
        self._start(call, events)
        events.append(BlockEnd(call.block))


def _name(call: _Call, piece: Any) -> None:
    """A name comes in pieces from some servers, and again and again from others."""
    if isinstance(piece, str) and piece != call.name:
        call.name += piece


def _text(arguments: Any) -> str:
    if isinstance(arguments, str):
        return arguments
    return msgspec.json.encode(arguments).decode() if isinstance(arguments, dict) else ""
