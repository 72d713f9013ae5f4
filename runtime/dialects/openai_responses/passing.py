"""A client's bytes for a target of this wire: with the target's model name, without what only an item's maker could read.

Items stay as they were written, except for reasoning of another model: its encrypted form is refused, and its plain form is
looked up by an id that only its maker stored. The ids of that model's other items are dropped, because a server refuses ids it
never stored. Another Hearth (the model `local`) reads what Hearth wrote, and gets everything.
"""

from __future__ import annotations

import msgspec

from runtime.contract.targets import LOCAL
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


def passing(body: RawBody, model: str, makers: Makers, *, stream: bool = False) -> bytes:
    """stream: as if a stream were wanted."""
    put = {"model": msgspec.json.encode(model)} | ({"stream": b"true"} if stream else {})
    given = body.data.get("input")
    suspect = model != LOCAL and (len(makers) or FOREIGN_IN_JSON in body.raw or TRANSLATED_IN_JSON in body.raw)
    if isinstance(given, list) and suspect:
        # The same items give the same bytes in every turn.
        raws = [bytes(raw) for raw in _raws.decode(body.value("input"))]
        kept = [_own(raw, item, model, makers) for raw, item in zip(raws, given, strict=True)]
        if kept != raws:
            put["input"] = b"[" + b",".join(raw for raw in kept if raw is not None) + b"]"
    return body.spliced(put, (HINTS,))


def _own(raw: bytes, item: object, model: str, makers: Makers) -> bytes | None:
    """The item as this model can read it; None if it cannot."""
    if not isinstance(item, dict):
        return raw
    item_id = item.get("id")
    foreign = isinstance(item_id, str) and (is_translated(item_id) or makers.of(item_id) not in (None, model))
    if item.get("type") == "reasoning":
        return None if foreign or is_foreign(item.get("encrypted_content")) else raw
    if foreign and item.get("type") != "item_reference":
        return RawBody(raw).spliced({}, ("id",))
    return raw
