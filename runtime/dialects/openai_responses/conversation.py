"""What came before a body that names its predecessor, and what is kept of an answer so that another can name it.

Pure: the store is `runtime.conversations.store`. Items are kept and given back as the bytes they were, so that a conversation's
prefix stays the same from turn to turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody

PREVIOUS = "previous_response_id"

_raws = msgspec.json.Decoder(list[msgspec.Raw])


class _Identified(msgspec.Struct):
    id: str | None = None


class _Response(msgspec.Struct):
    id: str
    output: list[msgspec.Raw]


_identified = msgspec.json.Decoder(_Identified)
_response = msgspec.json.Decoder(_Response)


@dataclass(frozen=True, slots=True)
class Kept:
    """One answered request. input: its own items, not those before it. response: the whole object, as it was told."""

    id: str
    previous: str | None
    input: tuple[bytes, ...]
    response: bytes

    @property
    def output(self) -> tuple[bytes, ...]:
        return output_of(self.response)

    @property
    def items(self) -> Mapping[str, bytes]:
        """Those that have an id, by it."""
        named = ((_id_of(item), item) for item in (*self.input, *self.output))
        return {name: item for name, item in named if name}


def output_of(response: bytes) -> tuple[bytes, ...]:
    """The items of a response's output; none where it is no response."""
    try:
        return tuple(map(bytes, _response.decode(response).output))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()


def previous_of(body: RawBody) -> str | None:
    """The response this body goes on from. Raises BadBody."""
    named = body.data.get(PREVIOUS)
    if named is None or isinstance(named, str):
        return named
    raise BadBody(f"{PREVIOUS!r} must be a string", PREVIOUS)


def unknown(response_id: str) -> ApiError:
    """As the wire's inventor tells it, so that clients know to send the whole conversation."""
    words = f"Previous response with id {response_id!r} not found: it was not stored here, or is no longer kept."
    return ApiError(400, words, "previous_response_not_found", PREVIOUS)


def missing(response_id: str) -> ApiError:
    """For who asks for the response itself."""
    return ApiError(404, f"Response with id {response_id!r} not found.", "not_found", "response_id")


def references(body: RawBody) -> tuple[str, ...]:
    """The ids of items that the body names instead of giving."""
    given = body.data.get("input")
    items = given if isinstance(given, list) else ()
    return tuple(name for item in items if (name := _referred(item)) is not None)


def resumed(body: RawBody, history: Sequence[bytes], referred: Mapping[str, bytes]) -> RawBody:
    """The body as if its client had sent the whole conversation. history: items, oldest first.

    A reference to an item that is not known stays: a server that stored the item itself may know it.
    """
    own = [_resolved(raw, referred) for raw in input_of(body)]
    known = {_id_of(item) for item in history} - {None}
    told = [item for item in own if not (_is_reference(item) and _id_of(item) in known)]
    return RawBody(body.spliced({"input": b"[" + b",".join((*history, *told)) + b"]"}, (PREVIOUS,)))


def wants_keeping(body: RawBody) -> bool:
    """`store` is true unless the client says otherwise."""
    return body.data.get("store") is not False


def kept(body: RawBody, response: bytes) -> Kept | None:
    """What to keep of an answer to this body, which is the client's own, before it was resumed. None: nothing."""
    if not wants_keeping(body):
        return None
    try:
        answered = _response.decode(response)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Kept(answered.id, previous_of(body), tuple(input_of(body)), response)


def input_of(body: RawBody) -> list[bytes]:
    """The body's own items. A text is what the user says."""
    given = body.data.get("input")
    if isinstance(given, str):
        return [b'{"role":"user","content":' + body.value("input") + b"}"]
    return [bytes(raw) for raw in _raws.decode(body.value("input"))] if isinstance(given, list) else []


def deleted(response_id: str) -> bytes:
    return msgspec.json.encode({"id": response_id, "object": "response", "deleted": True})


def item_ids(response: bytes) -> Iterator[str]:
    """The ids of a response's output."""
    yield from (name for item in output_of(response) if (name := _id_of(item)) is not None)


def _resolved(raw: bytes, referred: Mapping[str, bytes]) -> bytes:
    name = _id_of(raw)
    return referred.get(name, raw) if name is not None and _is_reference(raw) else raw


def _is_reference(raw: bytes) -> bool:
    try:
        return _referred(msgspec.json.decode(raw)) is not None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _referred(item: object) -> str | None:
    """The id an item refers to; None where it is the thing itself."""
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        return None
    named: str = item["id"]
    kind = item.get("type")
    return named if kind == "item_reference" or (kind is None and "role" not in item) else None


def _id_of(raw: bytes) -> str | None:
    try:
        return _identified.decode(raw).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
