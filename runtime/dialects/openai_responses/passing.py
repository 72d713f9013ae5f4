"""A client's bytes for a target of this wire: the model's name, and nothing an item's own maker alone could read.

Items stay as they were written, but for reasoning that another model made: its sealed form is refused, its plain form is
looked up by an id that only its maker stored. The ids of what that model made go with it: a server refuses ids it never stored.
"""

from __future__ import annotations

import msgspec

from runtime.dialects.openai_responses.signatures import (
    FOREIGN_IN_JSON,
    TRANSLATED_IN_JSON,
    Makers,
    is_foreign,
    is_translated,
)
from runtime.dialects.seam import HINTS
from runtime.wire.raw_body import RawBody

_raws = msgspec.json.Decoder(list[msgspec.Raw])


def passing(body: RawBody, model: str, makers: Makers) -> bytes:
    put = {"model": msgspec.json.encode(model)}
    items = _items(body, model, makers)
    if items is not None:
        put["input"] = items
    return body.spliced(put, (HINTS,))


def _items(body: RawBody, model: str, makers: Makers) -> bytes | None:
    """The input for this model; None where it stays as it is. The same items give the same bytes in every turn."""
    given = body.data.get("input")
    if not isinstance(given, list) or not (
        len(makers) or FOREIGN_IN_JSON in body.raw or TRANSLATED_IN_JSON in body.raw
    ):
        return None
    raws = [bytes(raw) for raw in _raws.decode(body.value("input"))]
    kept = [_item(raw, item, model, makers) for raw, item in zip(raws, given, strict=True)]
    return None if kept == raws else b"[" + b",".join(raw for raw in kept if raw is not None) + b"]"


def _item(raw: bytes, item: object, model: str, makers: Makers) -> bytes | None:
    """None: it stays behind."""
    if not isinstance(item, dict):
        return raw
    item_id = item.get("id")
    foreign = isinstance(item_id, str) and (is_translated(item_id) or makers.of(item_id) not in (None, model))
    if item.get("type") == "reasoning":
        return None if foreign or is_foreign(item.get("encrypted_content")) else raw
    if foreign and item.get("type") != "item_reference":
        return RawBody(raw).spliced({}, ("id",))
    return raw
