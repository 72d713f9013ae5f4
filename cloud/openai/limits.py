"""OpenAI's limits on names, call ids and the user's id, kept for requests that come from wires with wider ones.

A name or an id is replaced the same way in every turn, so that prompt caches hold, and a call's name is restored in the answer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from runtime.contract.codec import Decoder, Encoded
from runtime.contract.events import Event, ToolCallStart
from runtime.contract.messages import Part, Request, ToolCall, ToolResult

MOST = 64  # characters (platform.openai.com/docs/api-reference)
_OUTSIDE = re.compile(r"[^a-zA-Z0-9_-]")


def short_name(name: str) -> str:
    """A tool's name as it is if it is allowed, else a similar one made unique by a digest."""
    plain = _OUTSIDE.sub("_", name)
    return name if plain == name and len(name) <= MOST else f"{plain[: MOST - 9]}_{_digest(name)[:8]}"


def short_id(call_id: str) -> str:
    return call_id if len(call_id) <= MOST else f"call_{_digest(call_id)[:32]}"


def encoded_within(request: Request, encode: Callable[[Request], Encoded]) -> Encoded:
    """The request encoded with names and ids within the limits. A longer id of the user becomes its digest, and is named."""
    parts = [part for message in request.messages for part in message.parts]
    calls = [part for part in parts if isinstance(part, ToolCall)]
    names = {tool.name for tool in request.tools} | {call.name for call in calls}
    if any(short_name(name) != name for name in names) or any(len(call.id) > MOST for call in calls):
        request = _renamed(request)
    if request.user is None or len(request.user) <= MOST:
        return encode(request)
    encoded = encode(replace(request, user=_digest(request.user)))
    return replace(encoded, dropped=(*encoded.dropped, "user"))


def restoring(decoder: Decoder, request: Request) -> Decoder:
    """The decoder, with the client's names of the tools that `encoded_within` renames."""
    names = {short: tool.name for tool in request.tools if (short := short_name(tool.name)) != tool.name}
    return _Restoring(decoder, names) if names else decoder


class _Restoring:
    """`runtime.contract.codec.Decoder` that gives calls the names that the client knows."""

    def __init__(self, decoder: Decoder, names: Mapping[str, str]) -> None:
        self._decoder, self._names = decoder, names

    @property
    def closed(self) -> bool:
        return self._decoder.closed

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        return [self._restored(event) for event in self._decoder.feed(name, data)]

    def finish(self) -> Sequence[Event]:
        return [self._restored(event) for event in self._decoder.finish()]

    def _restored(self, event: Event) -> Event:
        if isinstance(event, ToolCallStart) and event.name in self._names:
            return replace(event, name=self._names[event.name])
        return event


def _renamed(request: Request) -> Request:
    choice = request.tool_choice
    if choice is not None:
        named = None if choice.name is None else short_name(choice.name)
        choice = replace(choice, name=named, allowed=tuple(map(short_name, choice.allowed)))
    return replace(
        request,
        tools=tuple(replace(tool, name=short_name(tool.name)) for tool in request.tools),
        tool_choice=choice,
        messages=tuple(replace(message, parts=tuple(map(_part, message.parts))) for message in request.messages),
    )


def _part(part: Part) -> Part:
    match part:
        case ToolCall():
            return replace(part, id=short_id(part.id), name=short_name(part.name))
        case ToolResult():
            name = None if part.name is None else short_name(part.name)
            return replace(part, call_id=short_id(part.call_id), name=name)
        case _:
            return part


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
