"""The process's output streams, made safe for pipes and locales.

    Stdout    stdout: a reader that has gone (`hearth status | head -1`) ends the command, without a traceback
    Stderr    stderr: a reader that has gone costs the message alone; the command goes on

Characters that the locale's encoding lacks are written as `\\uXXXX`, which is right inside JSON too.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from pathlib import Path
from typing import BinaryIO, TextIO

_ESCAPE = "hearth_escape"


class ClosedOutputError(Exception):
    """stdout takes no more: its reader is gone, or its disk is full. No OSError, because libraries handle those."""

    @property
    def reader_gone(self) -> bool:
        return not isinstance(self.__cause__, OSError) or isinstance(self.__cause__, BrokenPipeError)


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2] for at in range(0, len(units), 2))
    return "".join(f"\\u{unit.hex()}" for unit in pairs), error.end


codecs.register_error(_ESCAPE, _escape)


class Stdout(io.TextIOWrapper):
    """Text output over a binary stream. `write` and `flush` raise ClosedOutputError where it takes no more."""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the stub has a plain attribute
        """Not the locale's: click opens the descriptor anew where it finds ASCII. `write` escapes what the locale lacks."""
        return "utf-8"

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except (OSError, ValueError) as fault:
            raise ClosedOutputError(str(fault)) from fault

    def flush(self) -> None:
        try:
            super().flush()
        except (OSError, ValueError) as fault:
            raise ClosedOutputError(str(fault)) from fault

    def discard(self) -> None:
        """Sends the rest to the null device, so that the flush at the interpreter's end has somewhere to go."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


class Stderr(io.TextIOWrapper):
    """Text output for messages. Faults of the stream are ignored."""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the stub has a plain attribute
        """Not the locale's: click opens the descriptor anew where it finds ASCII. `write` escapes what the locale lacks."""
        return "utf-8"

    def write(self, text: str, /) -> int:
        with contextlib.suppress(OSError, ValueError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().flush()


def as_text(argument: str) -> str:
    """A command-line argument as the text it is in UTF-8, whatever the locale. Not for paths: they are opened as they came.

    Where the locale cannot decode an argument, Python gives its bytes as halves of pairs, which nothing can encode again.
    """
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def standard() -> tuple[Stdout, Stderr]:
    """Takes stdout and stderr over. A stream that was closed from the start (`>&-`) becomes the null device."""
    out, err = _taken(sys.stdout), _taken(sys.stderr)
    sys.stdout = output = Stdout(out[0], out[1], errors=_ESCAPE, line_buffering=out[2])
    sys.stderr = errors = Stderr(err[0], err[1], errors=_ESCAPE, line_buffering=True)
    return output, errors


def _taken(stream: TextIO | None) -> tuple[BinaryIO, str, bool]:
    """The bytes below a stream, its encoding, and True if it is a terminal."""
    if not isinstance(stream, io.TextIOWrapper):
        return Path(os.devnull).open("wb"), "utf-8", False
    encoding, terminal = stream.encoding, stream.isatty()
    return stream.detach(), encoding, terminal
