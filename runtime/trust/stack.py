"""A traceback without values: types and lines of code, never a message. An exception's message may quote a prompt or a key."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

_MOST_CAUSES = 8
_MOST_FRAMES = 40


def stack_of(error: BaseException, most_frames: int = _MOST_FRAMES) -> str:
    """The exception's type with the lines of code it passed, innermost last, then those of its causes."""
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(seen) < _MOST_CAUSES:
        lines += _lines(current, most_frames)
        seen.add(id(current))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n".join(lines)


def _lines(error: BaseException, most_frames: int) -> Iterator[str]:
    kind = type(error)
    yield f"{kind.__module__}.{kind.__qualname__}"
    for frame in traceback.extract_tb(error.__traceback__)[-most_frames:]:
        yield f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
        if frame.line:
            yield f"    {frame.line}"
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions[:_MOST_CAUSES]:
            yield from _lines(inner, most_frames)
