"""The response of a stream: its last event holds all of it, as the vendor gives it without a stream."""

from __future__ import annotations

from typing import Any

import msgspec

from runtime.dialects.openai_responses.meter import ENDINGS, Done
from runtime.wire.raw_body import BadBody, RawBody


class _Event(msgspec.Struct):
    type: Any = None
    item: msgspec.Raw = msgspec.Raw()
    output_index: Any = None
    response: msgspec.Raw = msgspec.Raw()


_event = msgspec.json.Decoder(_Event)


class ResponseFold:
    """`runtime.dialects.folded.Fold`. done: gets the whole response."""

    def __init__(self, done: Done) -> None:
        self._done = done
        self._response = b""
        self._items: dict[Any, bytes] = {}

    def take(self, name: bytes, data: bytes) -> None:
        """See `Fold.take`."""
        event = _event.decode(data)
        kind = event.type if isinstance(event.type, str) else name.decode("latin-1")
        if kind == "response.output_item.done" and event.item:
            place = event.output_index
            self._items[place if isinstance(place, int) else len(self._items)] = bytes(event.item)
        elif kind in ENDINGS:
            self._response = bytes(event.response)

    def whole(self) -> bytes:
        """See `Fold.whole`. Some servers leave the items out of their last event."""
        body = self._response
        try:
            response = RawBody(body)
            if self._items and not response.data.get("output"):
                items = [self._items[place] for place in sorted(self._items)]
                body = response.spliced({"output": b"[" + b",".join(items) + b"]"})
        except BadBody:  # JSON that decodes and cannot be spliced (a member twice): as it came
            pass
        self._done(body)
        return body
