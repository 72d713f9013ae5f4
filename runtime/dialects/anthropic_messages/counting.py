"""`/v1/messages/count_tokens`: the body that passes through, and the answer of a target that cannot count."""

from __future__ import annotations

import msgspec

from runtime.dialects.anthropic_messages.check import check_body
from runtime.dialects.anthropic_messages.signatures import without_foreign
from runtime.dialects.seam import HINTS
from runtime.wire.raw_body import RawBody

PATH = "/v1/messages/count_tokens"


class _Counted(msgspec.Struct):
    input_tokens: int


_counted = msgspec.json.Decoder(_Counted)


def check(body: RawBody) -> None:
    """As for a message, but without a limit on the answer. Raises BadBody."""
    check_body(body.data)


def passing(body: RawBody, model: str) -> bytes:
    """The client's bytes for a target of this wire that calls the model `model`."""
    put = {"model": msgspec.json.encode(model)}
    cleaned = without_foreign(body)
    if cleaned is not None:
        put["messages"] = cleaned
    return body.spliced(put, (HINTS,))


def answer(tokens: int) -> bytes:
    return msgspec.json.encode({"input_tokens": tokens})


def counted(body: bytes) -> int | None:
    """The count a target gave; None where it gave none."""
    try:
        return _counted.decode(body).input_tokens
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
