"""docs/terminal.svg: a few commands against a running Hearth, recorded in a real terminal and played by the picture.

`python -m scripts.docs recording`. Needs a runtime at the usual address, better with a cloud target and `tasks = ["code"]` set;
no key is used. A command's pauses are kept, up to a bound; the picture moves by CSS alone, stands still at its end,
and shows that end where movement is not wanted.
"""

from __future__ import annotations

import os
import pty
import re
import select
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from fcntl import ioctl
from html import escape
from pathlib import Path
from termios import TIOCSWINSZ
from typing import NamedTuple

from scripts.install import VENV

COLUMNS, ROWS = 100, 26
COMMANDS = (
    'hearth ask "What is the capital of France?"',
    'hearth explain "Write a lock-free queue in C++ and prove it linearizable."',
    "hearth status",
)
_LONGEST_PAUSE_S = 0.8
_KEY_S = 0.035  # between two keys that are typed
_AFTER_S = 2.5  # of reading, after a command has ended
_CELL = (8.4, 19.0)  # of a character at 14 pixels
_MARGIN = 16.0
_SIGN = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])")
_CLASSES = {"1": "b", "2": "d", "31": "r", "32": "g", "33": "y", "36": "c"}
_STYLE = """
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#e6e1dc;white-space:pre}
.b{font-weight:bold}.d{fill:#9a938c}.r{fill:#f47c7c}.g{fill:#8fd694}.y{fill:#f2c572}.c{fill:#7cc7e8}.p{fill:#f2a65a}
@keyframes show{to{opacity:1}}
@media (prefers-reduced-motion:no-preference){.s{opacity:0;animation:show 1ms linear forwards}}
"""


class Piece(NamedTuple):
    """Characters of one style that came at once. at: seconds since the beginning. style: classes of the picture."""

    at: float
    row: int
    column: int
    text: str
    style: str


def record(commands: Sequence[str], hearth: str) -> list[Piece]:
    """Runs the commands, one after the other. hearth: the program to run for the first word."""
    pieces: list[Piece] = []
    at, row = 0.5, 0
    for command in commands:
        pieces.append(Piece(at, row, 0, "$ ", "p"))
        for column, key in enumerate(command):
            at += _KEY_S
            pieces.append(Piece(at, row, column + 2, key, "b"))
        at += 0.3
        seen, last = list(_output([hearth, *command.split(" ", 1)[1:]])), 0.0
        output: list[tuple[float, str]] = []
        for came, text in seen:
            at += min(_LONGEST_PAUSE_S, came - last)
            last = came
            output.append((at, text))
        row += 1
        shown, row = laid_out(output, row)
        pieces += shown
        row += 1
        at += _AFTER_S
    return pieces


def _output(words: Sequence[str]) -> Iterator[tuple[float, str]]:
    """What a command writes to a terminal, with the seconds since its start. Its arguments are a shell's."""
    master, slave = pty.openpty()
    ioctl(slave, TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    began, left = time.monotonic(), b""
    with subprocess.Popen(["sh", "-c", " ".join(words)], stdin=slave, stdout=slave, stderr=slave, env=env) as child:
        os.close(slave)
        while True:
            ready, _, _ = select.select([master], [], [], 0.2)
            try:
                left += os.read(master, 65536) if ready else b""
            except OSError:  # the terminal's other side is closed
                break
            if not ready and child.poll() is not None:
                break
            whole = len(left) if not left or left[-1] < 0x80 else left.rfind(b"\n") + 1
            if whole:
                yield time.monotonic() - began, left[:whole].decode()
                left = left[whole:]
    os.close(master)


def laid_out(output: Sequence[tuple[float, str]], row: int) -> tuple[list[Piece], int]:
    """Pieces of an output that begins at a row, and the first row after it. A line that is written anew replaces itself."""
    pieces: list[Piece] = []
    column, style = 0, ""
    for at, text in output:
        for part in re.split(r"(\x1b\[[0-9;]*[A-Za-z]|\r\n|\r|\n)", text):
            if not part:
                continue
            if sign := _SIGN.fullmatch(part):
                if sign[2] == "m":
                    style = " ".join(_CLASSES[code] for code in sign[1].split(";") if code in _CLASSES)
            elif part == "\r":
                pieces = [each for each in pieces if each.row != row]
                column = 0
            elif part in ("\n", "\r\n"):
                row, column = row + 1, 0
            else:
                while part:
                    room = COLUMNS - column
                    pieces.append(Piece(at, row, column, part[:room], style))
                    column += len(part[:room])
                    if part := part[room:]:
                        row, column = row + 1, 0
    return pieces, row + (1 if column else 0)


def svg(pieces: Sequence[Piece]) -> str:
    """The picture. The rows move up as the lowest one in sight is passed."""
    width, height = COLUMNS * _CELL[0] + 2 * _MARGIN, ROWS * _CELL[1] + 2 * _MARGIN
    end = max(each.at for each in pieces)
    steps, top = ["0%{transform:translateY(0)}"], 0
    for each in pieces:
        if each.row - ROWS + 1 > top:
            top = each.row - ROWS + 1
            steps.append(f"{100 * each.at / end:.3f}%{{transform:translateY({-top * _CELL[1]:.1f}px)}}")
    moves = f"@keyframes up{{{''.join(steps)}to{{transform:translateY({-top * _CELL[1]:.1f}px)}}}}"
    scrolled = f".up{{transform:translateY({-top * _CELL[1]:.1f}px)}}"
    running = f"@media (prefers-reduced-motion:no-preference){{.up{{animation:up {end:.2f}s step-end forwards}}}}"
    texts = "".join(
        f'<text class="s {each.style}" style="animation-delay:{each.at:.2f}s" '
        f'x="{each.column * _CELL[0]:.1f}" y="{each.row * _CELL[1] + 14:.1f}">{escape(each.text)}</text>'
        for each in pieces
        if each.text.strip()
    )
    said = escape("; ".join(COMMANDS))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{said}">'
        f"<style>{_STYLE}{moves}{scrolled}{running}</style>"
        f'<rect width="100%" height="100%" rx="8" fill="#1d1a18"/>'
        f'<svg x="{_MARGIN}" y="{_MARGIN}" width="{width - 2 * _MARGIN:.0f}" height="{height - 2 * _MARGIN:.0f}">'
        f'<g class="up">{texts}</g></svg></svg>\n'
    )


def make(folder: Path) -> Path:
    """Records, and writes the picture into a folder."""
    picture = folder / "terminal.svg"
    picture.write_text(svg(record(COMMANDS, str(VENV / "bin" / "hearth"))), encoding="utf-8")
    return picture
