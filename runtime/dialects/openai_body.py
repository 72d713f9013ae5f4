"""Members that the bodies of OpenAI's wires and rerank share: their types, and usage in a stream."""

from __future__ import annotations

import msgspec

from runtime.dialects.seam import HINTS
from runtime.wire.raw_body import BadBody, RawBody

_KINDS: tuple[tuple[str, type], ...] = (("stream", bool), ("stream_options", dict), ("n", int))


def check_members(body: RawBody, *needed: str) -> None:
    """Raises BadBody if a member of `needed` is missing or one of the shared ones has another type than the wire's."""
    data = body.data
    for name in needed:
        if name not in data:
            raise BadBody(f"the member {name!r} is missing", name)
    if not isinstance(data.get("model", ""), str):
        raise BadBody("the member 'model' must be a string", "model")
    for name, kind in _KINDS:
        if (value := data.get(name)) is not None and not isinstance(value, kind):
            raise BadBody(f"the member {name!r} must be of type {kind.__name__}", name)


def asks_usage(body: RawBody) -> bool:
    """True if the client wants usage in its stream."""
    options = body.data.get("stream_options")
    return bool(options and options.get("include_usage"))


def for_model(body: RawBody, model: str, *, with_usage: bool = False, stream: bool = False) -> bytes:
    """The body for a target that calls the model `model`, without Hearth's hints.

    with_usage: the stream reports it. stream: asks for a stream where the client did not.
    """
    put = {"model": msgspec.json.encode(model)}
    if stream:
        put["stream"] = b"true"
    if with_usage and body.data.get("stream_options"):
        put["stream_options"] = RawBody(body.value("stream_options")).spliced({"include_usage": b"true"})
    elif with_usage:
        put["stream_options"] = b'{"include_usage":true}'
    return body.spliced(put, (HINTS,))
