"""Renames the role `developer` in a conversation that passes to a server that does not know it. All else keeps its bytes."""

from __future__ import annotations

import msgspec

from runtime.wire.raw_body import BadBody, RawBody

_DEVELOPER = "developer"
_items = msgspec.json.Decoder(list[msgspec.Raw])


def developer_as_system(body: RawBody, member: str) -> RawBody:
    """The body with `system` for `developer` among the items of `member`; the body itself if it has none."""
    items = body.data.get(member)
    if not isinstance(items, list) or not any(_is_developer(item) for item in items):
        return body
    try:
        written = [
            RawBody(bytes(raw)).spliced({"role": b'"system"'}) if _is_developer(item) else bytes(raw)
            for item, raw in zip(items, _items.decode(body.value(member)), strict=True)
        ]
    except BadBody:
        return body  # a key given twice: the server judges that
    return RawBody(body.spliced({member: b"[" + b",".join(written) + b"]"}))


def _is_developer(item: object) -> bool:
    return isinstance(item, dict) and item.get("role") == _DEVELOPER
