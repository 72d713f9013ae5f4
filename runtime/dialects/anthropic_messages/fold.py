"""One message of the events of a stream, and a content block as it grows: both keep members that nobody here knows."""

from __future__ import annotations

from typing import Any

import msgspec

from runtime.dialects.growing import Table
from runtime.dialects.meter import UNDECODABLE

_json = msgspec.json.Decoder()


class GrowingBlock:
    """A content block, kept as its vendor wrote it. Texts grow in lists of pieces, any other member is replaced."""

    def __init__(self, begun: Table) -> None:
        self._members, self._input = dict(begun), list[str]()
        self._texts: dict[str, list[str]] = {}

    def grow(self, delta: Table) -> None:
        if delta.get("type") == "input_json_delta":
            piece = delta.get("partial_json")
            self._input.append(piece if isinstance(piece, str) else "")
            return
        if delta.get("type") == "citations_delta":
            self._members["citations"] = [*(self._members.get("citations") or ()), delta.get("citation")]
            return
        for name in delta.keys() - {"type"}:
            before, more = self._members.get(name), delta[name]
            if isinstance(before, str) and isinstance(more, str):
                self._texts.setdefault(name, [before]).append(more)
            else:
                self._members[name] = more

    @property
    def empty_text(self) -> bool:
        """True for a text block without text, which the wire refuses."""
        return self._members.get("type") == "text" and not self.whole().get("text")

    def whole(self) -> Table:
        """The block so far. An input that breaks off stays as it began."""
        members = self._members | {name: "".join(pieces) for name, pieces in self._texts.items()}
        written = "".join(self._input).encode()
        try:
            _json.decode(written)
        except UNDECODABLE:
            return members
        return members | {"input": msgspec.Raw(written)}


class MessageFold:
    """`runtime.dialects.folded.Fold`."""

    def __init__(self) -> None:
        self._message: Table = {}
        self._blocks: dict[Any, GrowingBlock] = {}

    def take(self, name: bytes, data: bytes) -> None:
        """See `Fold.take`."""
        event = _json.decode(data)
        if not isinstance(event, dict):
            return
        match event.get("type") or name.decode("latin-1"):
            case "content_block_delta":
                block, delta = self._blocks.get(event.get("index")), event.get("delta")
                if block is not None and isinstance(delta, dict):
                    block.grow(delta)
            case "content_block_start" if isinstance(begun := event.get("content_block"), dict):
                self._blocks[event.get("index")] = GrowingBlock(begun)
            case "message_start" if isinstance(message := event.get("message"), dict):
                self._message = message
                given = message.get("content")
                self._blocks = {
                    place: GrowingBlock(each) for place, each in enumerate(given or ()) if isinstance(each, dict)
                }
            case "message_delta":
                # The event's own members, those of its delta, and counts: cumulative, so that one left out keeps its value.
                delta = event.pop("delta", None)
                counts = event.pop("usage", None)
                self._message |= {name: value for name, value in event.items() if name != "type"}
                self._message |= delta if isinstance(delta, dict) else {}
                if isinstance(counts, dict):
                    given = {name: value for name, value in counts.items() if value is not None}
                    self._message["usage"] = counts | (self._message.get("usage") or {}) | given

    def whole(self) -> bytes:
        """See `Fold.whole`."""
        return msgspec.json.encode(self._message | {"content": [block.whole() for block in self._blocks.values()]})
