"""Continuing a stored response: the body with the turns before it, and the value that is stored of an answer.

Pure; `runtime.conversations` stores. Items are stored and given back byte for byte, so that the prefix of a conversation is the
same in every turn and prompt caches survive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from runtime.dialects.openai_responses.words import UNDECODABLE
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody

PREVIOUS = "previous_response_id"
NOT_FOUND = "previous_response_not_found"

_raws = msgspec.json.Decoder(list[msgspec.Raw])


class _Identified(msgspec.Struct):
    id: str | None = None
    type: Any = None
    role: Any = None

    @property
    def refers(self) -> bool:
        """True if it stands for an item that is stored under this id."""
        return self.id is not None and (self.type == "item_reference" or (self.type is None and self.role is None))


class _Response(msgspec.Struct):
    id: str
    output: list[msgspec.Raw]


_identified = msgspec.json.Decoder(_Identified)
_response = msgspec.json.Decoder(_Response)


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """One answered request.

    previous: the id it continued from. input: the request's own items as a JSON array, without those of earlier turns.
    response: the whole response object as the client got it. requires: certificates that the request, or one it continued from,
    demanded of every target. durable: may be written to disk. chain: the name of the conversation; "" in what the disk gives.
    """

    id: str
    previous: str | None
    input: bytes
    response: bytes
    requires: frozenset[str] = frozenset()
    durable: bool = False
    chain: str = ""

    @property
    def size(self) -> int:
        """Bytes of input and response."""
        return len(self.input) + len(self.response)

    @property
    def given(self) -> tuple[bytes, ...]:
        """The items of the input. Raises msgspec.DecodeError for a value read from a damaged row."""
        return tuple(map(bytes, _raws.decode(self.input)))

    @property
    def output(self) -> tuple[bytes, ...]:
        return output_of(self.response)

    @property
    def items(self) -> Mapping[str, msgspec.Raw]:
        """Item id -> item, of input and output, as views of their bytes. What only refers to an item is none."""
        given = [(_id_of(item), item) for item in _raws.decode(self.input)]
        made = [(_identified_of(item).id, item) for item in _response.decode(self.response).output]
        return {name: item for name, item in (*given, *made) if name}


def stored_response(
    body: RawBody, response: bytes, requires: frozenset[str] = frozenset(), chain: str = ""
) -> StoredResponse | None:
    """The value to store of an answer; None if the client said `store: false`, or the answer is no response.

    body: the client's own, before it was resumed, with the items it refers to in place of their references. Only an explicit
    `store: true` without requirements is durable: nothing reaches a disk unasked, and no certificate covers this box's disk.
    """
    wanted = body.data.get("store")
    if wanted is False:
        return None
    try:
        answered = _response.decode(response)
    except UNDECODABLE:
        return None
    given = b"[" + b",".join(input_of(body)) + b"]"
    durable = wanted is True and not requires
    return StoredResponse(answered.id, previous_of(body), given, response, requires, durable, chain)


def output_of(response: bytes) -> tuple[bytes, ...]:
    """The output items; empty if the bytes are no response."""
    try:
        return tuple(map(bytes, _response.decode(response).output))
    except UNDECODABLE:
        return ()


def item_ids(response: bytes) -> Iterator[str]:
    """The ids of the output items."""
    yield from (name for item in output_of(response) if (name := _identified_of(item).id) is not None)


def previous_of(body: RawBody) -> str | None:
    """The id of the response this body continues. Raises BadBody."""
    named = body.data.get(PREVIOUS)
    if named is None or isinstance(named, str):
        return named
    raise BadBody(f"{PREVIOUS!r} must be a string", PREVIOUS)


def references(body: RawBody) -> tuple[str, ...]:
    """The ids of items that the body refers to instead of containing them."""
    given = body.data.get("input")
    items = given if isinstance(given, list) else ()
    return tuple(name for item in items if (name := _referred(item)) is not None)


def input_of(body: RawBody) -> list[bytes]:
    """The body's own items; a plain text is one user message."""
    given = body.data.get("input")
    if isinstance(given, str):
        return [b'{"role":"user","content":' + body.value("input") + b"}"]
    return [bytes(raw) for raw in _raws.decode(body.value("input"))] if isinstance(given, list) else []


def resumed(body: RawBody, history: Sequence[bytes]) -> RawBody:
    """The body as if its client had sent the whole conversation. history: items, oldest first."""
    every = (*history, *input_of(body))
    return RawBody(body.spliced({"input": b"[" + b",".join(every) + b"]"}, (PREVIOUS,)))


def resolved(body: RawBody, history: Sequence[bytes], referred: Mapping[str, bytes]) -> RawBody:
    """The body with the items it refers to in place of their references; without those that the history contains already.

    referred: id -> item. A reference to an unknown item stays: the target may have stored the item itself.
    """
    known = {_id_of(item) for item in history} - {None}
    own = []
    for raw in input_of(body):
        item = _identified_of(raw)
        if not item.refers:
            own.append(raw)
        elif item.id not in known:
            own.append(referred.get(item.id or "", raw))
    return RawBody(body.spliced({"input": b"[" + b",".join(own) + b"]"}))


# Answers of the wire


def not_found(response_id: str) -> ApiError:
    """The predecessor is unknown: with OpenAI's own code, on which clients send the whole conversation instead."""
    words = f"Previous response with id {response_id!r} not found: it was not stored here, or is no longer stored."
    return ApiError(400, words, NOT_FOUND, PREVIOUS)


def missing(response_id: str) -> ApiError:
    """The response asked for by its path is unknown."""
    return ApiError(404, f"Response with id {response_id!r} not found.", "not_found", "response_id")


def too_long(response_id: str, limit: str) -> ApiError:
    """The stored conversation exceeds a limit of this server."""
    words = f"The conversation of response {response_id!r} is too long to be continued here: more than {limit}."
    return ApiError(400, words, "context_length_exceeded", PREVIOUS)


def deleted(response_id: str) -> bytes:
    return msgspec.json.encode({"id": response_id, "object": "response", "deleted": True})


def _referred(item: object) -> str | None:
    """The id an item refers to; None if it is an item itself."""
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        return None
    named: str = item["id"]
    kind = item.get("type")
    return named if kind == "item_reference" or (kind is None and "role" not in item) else None


def _id_of(raw: bytes | msgspec.Raw) -> str | None:
    """The id of an item; None if it has none, or is a reference."""
    item = _identified_of(raw)
    return None if item.refers else item.id


def _identified_of(raw: bytes | msgspec.Raw) -> _Identified:
    try:
        return _identified.decode(raw)
    except UNDECODABLE:
        return _Identified()
