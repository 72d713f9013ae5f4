"""The sources of an answer: the vendor's grounding and citations, as citations of the text.

The vendor counts in bytes of UTF-8, and a stream names its sources in the last chunks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from cloud.gemini.names import WIRE, Table
from runtime.contract.events import Citation

_KINDS = ("web", "maps", "retrievedContext", "image")


class _Span(NamedTuple):
    """Characters of the answer's text; None where the vendor gives none."""

    start: int | None = None
    end: int | None = None
    text: str | None = None


class Sources:
    """Gathers the sources while an answer runs. text: takes the answer's text, piece by piece."""

    __slots__ = ("_cited", "_grounds", "_pieces", "text")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.text = self._pieces.append
        self._grounds: list[Table] = []
        self._cited: list[Table] = []

    def add(self, grounding: Table, cited: Table) -> None:
        if grounding:
            self._grounds.append(grounding)
        if cited:
            self._cited.append(cited)

    def citations(self, index: int) -> list[Citation]:
        """index: of the text's block. Each source of each span once."""
        if not self._grounds and not self._cited:
            return []
        text = "".join(self._pieces)
        raw = text.encode("utf-8", "surrogatepass")
        found: list[Citation] = []
        for grounding in self._grounds:
            chunks = _tables(grounding.get("groundingChunks"))
            used: set[int] = set()
            for support in _tables(grounding.get("groundingSupports")):
                span = _span(_table(support.get("segment")), text, raw)
                places = support.get("groundingChunkIndices")
                for place in places if isinstance(places, list) else ():
                    if isinstance(place, int) and 0 <= place < len(chunks):
                        used.add(place)
                        found.append(_of_chunk(chunks[place], index, span))
            found += [_of_chunk(chunk, index, _Span()) for place, chunk in enumerate(chunks) if place not in used]
        for cited in self._cited:
            # One of the vendor's endpoints calls them `citationSources`, the other `citations`.
            for source in _tables(cited.get("citationSources")) + _tables(cited.get("citations")):
                span = _span(source, text, raw)
                url, title = _word(source.get("uri")), _word(source.get("title"))
                found.append(Citation(index, url, title, span.start, span.end, span.text, {WIRE: source}))
        return list({(one.url, one.title, one.start, one.end): one for one in found}.values())


def _of_chunk(chunk: Table, index: int, span: _Span) -> Citation:
    source = next((_table(chunk[kind]) for kind in _KINDS if isinstance(chunk.get(kind), dict)), {})
    url = source.get("uri") or source.get("sourceUri") or source.get("imageUri")
    return Citation(
        index,
        url=url if isinstance(url, str) else None,
        title=_word(source.get("title")) or _word(source.get("documentName")),
        start=span.start,
        end=span.end,
        cited=_word(source.get("text")) or span.text,
        extra={WIRE: chunk},
    )


def _span(segment: Table, text: str, raw: bytes) -> _Span:
    """Offsets count from the segment's part. Where they do not lead to its words, the words are searched in the text."""
    words = _word(segment.get("text"))
    end = segment.get("endIndex")
    start = segment.get("startIndex") or 0
    if isinstance(start, int) and isinstance(end, int) and 0 <= start <= end <= len(raw):
        there = raw[start:end].decode(errors="replace")
        if words is None or there == words:
            first = len(raw[:start].decode(errors="replace"))
            return _Span(first, first + len(there), words or there)
    place = text.find(words) if words else -1
    return _Span(place, place + len(words), words) if words and place >= 0 else _Span(text=words)


def _table(value: Any) -> Table:
    return value if isinstance(value, dict) else {}


def _tables(value: Any) -> list[Table]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
