"""Reads tool calls as an OpenAI chat stream gives them, in pieces.

A call starts when its name is complete: with its first arguments, with the next call, or at the end.
"""

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
    """The calls of one answer.

    next_block: numbers a block. new_id: mints an id. most: calls of one answer. name_limit: characters of a name.
    """

    def __init__(
        self, next_block: Callable[[], int], new_id: Callable[[], str], most: int = 1000, name_limit: int = 1000
    ) -> None:
        self._next_block, self._new_id = next_block, new_id
        self._most, self._name_limit = most, name_limit
        self._open: dict[int, _Call] = {}  # by the upstream's index
        self._last = -1
        self.made = 0

    @property
    def open(self) -> bool:
        """True if a call has begun that has not ended."""
        return bool(self._open)

    def take(self, entry: Any) -> list[Event]:
        """The events of one piece."""
        if not isinstance(entry, dict):
            return []
        function = entry.get("function")
        function = function if isinstance(function, dict) else {}
        name, arguments = function.get("name"), function.get("arguments")
        events: list[Event] = []
        call = self._call(entry, name, events)
        if not call.started:
            # A name comes in pieces from some servers, and again and again from others.
            if isinstance(name, str) and name != call.name:
                call.name += name
            if len(call.name) > self._name_limit or len(self._open) > self._most:
                return [Failed(garbled(f"more than {self._most} tool calls, or a name without end"))]
            call.signature = call.signature or read_call_extra(entry.get(EXTRA))
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        if isinstance(arguments, str) and arguments:
            if call.name:
                self._start(call, events)
                events.append(ArgumentsDelta(call.block, arguments))
            else:
                call.early.append(arguments)
        return events

    def end(self) -> list[Event]:
        """The events that are pending when the answer stops."""
        events: list[Event] = []
        for call in self._open.values():
            self._close(call, events)
        self._open.clear()
        return events

    def _call(self, entry: dict[str, Any], name: Any, events: list[Event]) -> _Call:
        """The call of a piece. A new index, or a new id and name under an old one, begins another."""
        index, call_id = entry.get("index"), entry.get("id")
        call_id = call_id if isinstance(call_id, str) and call_id else None
        if not isinstance(index, int):
            # Without an index: the call with this id, else a new one for a name, else the last one.
            index = next((key for key, call in self._open.items() if call_id and call.id == call_id), None)
        if index is None:
            index = max(self._open, default=-1) + 1 if name or self._last < 0 else self._last
        call = self._open.get(index)
        if call is not None and call_id and name and call.id not in (None, call_id):
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
