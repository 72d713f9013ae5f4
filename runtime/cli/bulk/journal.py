"""The output file as its own journal: its lines are the finished rows, one line per row, in the order of the input.

Beside OUT lies OUT.state: the input, labels, prompt and model of the lines. A run resumes only if all of them are
the same. OUT is locked by the process that writes it. A last line that was cut when its writer was killed is
removed, and its row done again. OUT is cut only once a runtime has answered, so that a mistyped command loses nothing.
Rows stand in the input's order, so that progress is one number and memory does not grow with it.

    JournalError    OUT cannot be continued; its text says what to do
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

import msgspec

_VERSION = 2
_RESTART = "--restart begins anew and throws away what {out} holds; or choose another -o"


class JournalError(Exception):
    """An output that cannot be continued, in words for the person who named it."""


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The input, question and model that an output belongs to.

    input_bytes, sha256: of the input as it was read; sha256 is empty for standard input.
    """

    input: str
    input_bytes: int
    sha256: str
    reading: str  # format and fields
    labels: tuple[str, ...]
    prompt: str  # fingerprint
    model: str = ""  # known once the runtime has answered
    version: int = _VERSION


class _Line(msgspec.Struct):
    row: int
    label: str | None = None
    error: str | None = None


@dataclass(slots=True)
class Done:
    """The contents of OUT. rows: lines 1 to `rows` are there; repaired: a torn last line was removed."""

    rows: int = 0
    errors: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    repaired: bool = False

    def add(self, label: str | None) -> None:
        self.rows += 1
        if label is None:
            self.errors += 1
        else:
            self.labels[label] += 1


_state_decoder = msgspec.json.Decoder(Identity)
_line_decoder = msgspec.json.Decoder(_Line)


class Journal:
    """OUT, open and locked. Not safe for two threads. keep: bytes that stay when OUT is cut; None: all."""

    def __init__(self, out: Path, file: BinaryIO, done: Done, keep: int | None = None) -> None:
        self.out = out
        self.done = done
        self._file = file
        self._keep = keep
        self._dirty = False

    @classmethod
    def open(cls, out: Path, *, restart: bool) -> Self:
        """Opens and locks OUT, and reads its rows; with `restart` it counts as empty. Nothing is written yet.

        Raises JournalError where another process writes it or its lines are not a journal's.
        """
        try:
            file = out.open("ab+", buffering=0)
        except OSError as error:
            raise JournalError(f"{out}: {error.strerror}: choose another -o") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if restart:
                return cls(out, file, Done(), keep=0)
            done, whole = _finished(file, out)
            return cls(out, file, done, keep=whole if done.repaired else None)
        except BlockingIOError as error:
            file.close()
            raise JournalError(
                f"another hearth classify is writing {out}: wait for it, or choose another -o"
            ) from error
        except BaseException:
            file.close()
            raise

    def known(self) -> Identity | None:
        """The identity of OUT; None if it is empty. Raises JournalError if its state file is missing or unreadable."""
        if self.done.rows == 0:
            return None
        try:
            return _state_decoder.decode(state_path(self.out).read_bytes())
        except FileNotFoundError as error:
            raise JournalError(
                f"{self.out} holds lines, but {state_path(self.out).name} beside it is missing, so their "
                f"input is unknown: {_RESTART.format(out=self.out)}"
            ) from error
        except msgspec.DecodeError as error:
            raise JournalError(
                f"{state_path(self.out)} is not readable ({error}): {_RESTART.format(out=self.out)}"
            ) from error

    def cut(self) -> None:
        """Removes what does not stay: a torn last line, or everything on a restart."""
        if self._keep is not None:
            self._file.truncate(self._keep)
            self._keep = None

    def belongs_to(self, identity: Identity) -> None:
        """Cuts OUT, then writes its identity, whole or not at all. In this order a crash between leaves no foreign rows."""
        self.cut()
        path, draft = state_files(self.out)
        with draft.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(identity), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def write(self, lines: Sequence[bytes]) -> None:
        """Appends whole lines in one write. A full disk raises OSError, and leaves at most a torn line."""
        whole = memoryview(b"".join(lines))
        while whole:
            whole = whole[self._file.write(whole) or 0 :]
        self._dirty = True

    def sync(self) -> None:
        """Makes what was written survive the machine. Killing the process loses nothing without it."""
        if self._dirty:
            self._dirty = False
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self.sync()
        self._file.close()


def state_path(out: Path) -> Path:
    return out.with_name(out.name + ".state")


def state_files(out: Path) -> tuple[Path, Path]:
    """The files that are written beside OUT: its state, and the draft that replaces it."""
    state = state_path(out)
    return state, state.with_name(state.name + ".new")


def difference(then: Identity, now: Identity, *, prefix: str, whole_lines: bool) -> str | None:
    """Why `now` may not go on with what `then` began, in words; None where it may.

    prefix: SHA-256 of today's input up to the length it had then; whole_lines: whether a line ended there.
    """
    if not then.sha256 or not now.sha256:
        return "standard input cannot be read again from where it was left: save it to a file first"
    if then.version != now.version:
        return "it was written by another version of Hearth"
    if now.input_bytes < then.input_bytes or prefix != then.sha256:
        return f"the input {now.input} is not what it was ({then.input_bytes:,} bytes then, {now.input_bytes:,} now)"
    if now.input_bytes > then.input_bytes and not whole_lines:
        return f"the last line of the input {now.input} was continued since"
    if then.labels != now.labels:
        return f"the labels were {', '.join(then.labels)}"
    if then.reading != now.reading:
        return f"the input was read as {then.reading}, now as {now.reading}"
    if then.prompt != now.prompt:
        return "the instructions, descriptions or template have changed"
    if now.model and then.model != now.model:
        return f"the model was {then.model}, now it is {now.model}"
    return None


def refusal(out: Path, why: str) -> JournalError:
    """The error for a run that may not go on."""
    return JournalError(f"{out} cannot be continued: {why}. {_RESTART.format(out=out)}")


def line(row: int, row_id: Any, rest: dict[str, Any]) -> bytes:
    """One line of OUT."""
    return msgspec.json.encode({"row": row, "id": row_id, **rest}) + b"\n"


def _finished(file: BinaryIO, out: Path) -> tuple[Done, int]:
    """The finished rows and their bytes, without a torn last line. Raises JournalError if they are not rows 1, 2, 3, ….

    A torn line in a file without a state file beside it raises too: the file may be anything.
    """
    done, good = Done(), 0
    file.seek(0)
    with open(file.fileno(), "rb", closefd=False) as reader:  # buffered; the journal's own handle is not
        for number, text in enumerate(reader, 1):
            if not text.endswith(b"\n") and state_path(out).exists():
                done.repaired = True
                break
            try:
                found = _line_decoder.decode(text)
            except msgspec.DecodeError:
                found = None
            if found is None or found.row != number:
                raise JournalError(
                    f"line {number} of {out} is not row {number} of a classification: {_RESTART.format(out=out)}"
                )
            done.add(None if found.error is not None else found.label)
            good += len(text)
    return done, good
