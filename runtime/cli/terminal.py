"""A terminal that is watched: single keys as they are pressed, its size, and lines redrawn only where they changed."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator, Sequence

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"  # the alternate screen, without a cursor


def size_of() -> os.terminal_size:
    """Columns and lines, as they are now: COLUMNS and LINES are from before a change of the window."""
    try:
        return os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        return os.terminal_size((80, 24))


@contextlib.contextmanager
def keys() -> Iterator[None]:
    """Keys are read one by one and not shown, while it lasts. Without a terminal to read from it does nothing."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def pressed(seconds: float) -> str:
    """The key that is pressed within so many seconds; "" if none is."""
    if not sys.stdin.isatty():
        time.sleep(seconds)
        return ""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return os.read(sys.stdin.fileno(), 1).decode("ascii", "ignore") if ready else ""


class LiveScreen:
    """The lines on the screen."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._size = size_of()

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        sys.stdout.write(ENTER)
        try:
            yield
        finally:
            sys.stdout.write(LEAVE)
            sys.stdout.flush()

    def draw(self, lines: Sequence[str]) -> None:
        """Writes the lines that differ from those that are there; all of them after a change of the size."""
        size = size_of()
        if size != self._size:
            self._size, self._lines = size, []
            sys.stdout.write("\x1b[2J")
        known = [*self._lines, *[""] * (len(lines) - len(self._lines))]
        for place, (line, old) in enumerate(zip(lines, known, strict=False), 1):
            if line != old or not self._lines:
                sys.stdout.write(f"\x1b[{place};1H{line}\x1b[K")
        self._lines = list(lines)
        sys.stdout.flush()
