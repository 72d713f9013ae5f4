"""Colours, and only on a terminal: text with a style, text in columns, and amounts in words. Knows no command.

NO_COLOR (any value) and TERM=dumb switch colours off; a stream that is no terminal never has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36", "": ""}


class Paint:
    """Called with a text and a style's name; "" is no style."""

    def __init__(self, colour: bool) -> None:
        self.colour = colour

    def __call__(self, text: str, style: str) -> str:
        code = _CODES[style]
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code and text else text


PLAIN = Paint(False)


def paint_for(stream: TextIO, env: Mapping[str, str]) -> Paint:
    return Paint(stream.isatty() and not env.get("NO_COLOR") and env.get("TERM") != "dumb")


Cell = tuple[str, str]  # text, style


def columns(rows: Iterable[Sequence[Cell]], paint: Paint, indent: str = "  ") -> list[str]:
    """Rows as lines, each column as wide as its widest text; the last one is not padded."""
    kept = list(rows)
    most = max((len(row) for row in kept), default=0)
    widths = [max((len(row[at][0]) for row in kept if at < len(row)), default=0) for at in range(most)]
    lines = []
    for row in kept:
        padded = [
            paint(text, style) + " " * (width - len(text)) for (text, style), width in zip(row, widths, strict=False)
        ]
        lines.append(indent + "  ".join([*padded[:-1], *(paint(*cell) for cell in row[-1:])]).rstrip())
    return lines


def duration(seconds: float) -> str:
    """5 ms, 1.2 s, 3 min 20 s, 4 h 5 min, 2 d 3 h."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for unit, size, below, step in (("min", 60, "s", 1), ("h", 3600, "min", 60)):
        if seconds < size * (60 if unit == "min" else 24):
            return f"{seconds // size:.0f} {unit} {seconds % size // step:.0f} {below}"
    return f"{seconds // 86400:.0f} d {seconds % 86400 // 3600:.0f} h"


def amount(size: float) -> str:
    """Bytes as GiB or MiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
