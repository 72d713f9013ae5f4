"""Rows of an input file, one at a time: JSON lines, CSV, TSV, or a text a line. Knows files; knows nothing of models.

A row's number is its line (CSV and TSV: its record below the header), from 1, and is the same on every reading. Blank
lines at the end of a file are no rows; a blank line between others is a bad one, so that numbers stay lines. In CSV and
TSV no blank line is a row, and a record has exactly the header's columns: any other could be misread, and is bad.

    InputError      the file as a whole cannot be read; its text says what to do
"""

from __future__ import annotations

import codecs
import csv
import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

LONGEST_ROW = 8 * 1024 * 1024  # bytes; a longer line is a bad row, so that memory stays bounded
TEXT_FIELDS = ("text", "prompt")
_PART = 1024 * 1024
_BOM = codecs.BOM_UTF8


class InputError(Exception):
    """An input file that cannot be used, in words for the person who named it."""


class FileFormat(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    TEXT = "text"


_SUFFIXES = {
    ".jsonl": FileFormat.JSONL,
    ".ndjson": FileFormat.JSONL,
    ".json": FileFormat.JSONL,
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.TSV,
    ".tab": FileFormat.TSV,
}


@dataclass(frozen=True, slots=True)
class InputRow:
    """id: the row's own, as it stands in the input; its number where it has none."""

    number: int
    id: Any
    text: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row nobody can classify. code: one word for programs; message: for people."""

    number: int
    id: Any
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Source:
    """An input file and how to read it. size: bytes that count; what is appended later belongs to a later run.

    whole: of JSON lines, a row's text is its whole line.
    """

    path: Path
    format: FileFormat
    size: int
    text_field: str | None = None
    id_field: str = "id"
    whole: bool = False

    def rows(self) -> Iterator[InputRow | BadRow]:
        """Every row in order. Raises InputError where the file as a whole is not what it should be."""
        with self.path.open("rb") as file:
            lines = _lines(file, self.size)
            if self.format is FileFormat.JSONL:
                yield from (self._from_json(number, line) for number, line in _numbered(lines))
            elif self.format is FileFormat.TEXT:
                yield from (_row(number, number, line) for number, line in _numbered(lines))
            else:
                yield from self._from_records(self._records(lines))

    def count(self) -> int:
        """The number of rows: a pass over the file that does not parse them."""
        with self.path.open("rb") as file:
            lines = _lines(file, self.size)
            if self.format in (FileFormat.CSV, FileFormat.TSV):
                return max(0, sum(1 for _ in self._records(lines)) - 1)
            return sum(1 for _ in _numbered(lines))

    def _from_json(self, number: int, line: bytes) -> InputRow | BadRow:
        if too_large := _too_large(number, line):
            return too_large
        try:
            value = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return BadRow(number, number, "not_json", f"not JSON: {error}")
        if not isinstance(value, dict):
            return BadRow(number, number, "not_json", "not a JSON object; one object a line is expected")
        row_id = value.get(self.id_field)
        if self.whole:
            return _row(number, number if row_id is None else row_id, line)
        name = self.text_field or next((name for name in TEXT_FIELDS if name in value), TEXT_FIELDS[0])
        if name not in value:
            return BadRow(number, number if row_id is None else row_id, "no_text", f"no field {name!r}")
        return _row(number, number if row_id is None else row_id, value[name])

    def _records(self, lines: Iterator[bytes]) -> Iterator[list[str] | csv.Error]:
        """Records with the header first; blank lines are none. A line that begins no record comes as its error.

        After an error reading begins anew with the next line: a quote that is never closed costs its own line and no other.
        """
        csv.field_size_limit(LONGEST_ROW)
        delimiter = "\t" if self.format is FileFormat.TSV else ","
        ahead: deque[bytes] = deque()  # lines of a failed record, to be read again
        taken: list[bytes] = []

        def feed() -> Iterator[str]:
            size = 0
            while (line := ahead.popleft() if ahead else next(lines, None)) is not None:
                size = len(line) if not taken else size + len(line)
                taken.append(line)
                if size > LONGEST_ROW:
                    raise csv.Error(f"longer than {LONGEST_ROW // 1024 // 1024} MiB, or a quote is never closed")
                yield line.decode("utf-8", "surrogateescape")

        reader = csv.reader(feed(), delimiter=delimiter, strict=True)
        while True:
            taken.clear()
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                ahead.extendleft(reversed(taken[1:]))
                reader = csv.reader(feed(), delimiter=delimiter, strict=True)
                unclosed = csv.Error("a quote is never closed")
                yield unclosed if "unexpected end" in str(error) else error
                continue
            if record:
                yield record

    def _from_records(self, records: Iterator[list[str] | csv.Error]) -> Iterator[InputRow | BadRow]:
        header = next(records, [])
        if isinstance(header, csv.Error):
            raise InputError(f"{self.path}: the first line is no header: {header}")
        text_at, id_at = self._columns(header)
        for number, record in enumerate(records, 1):
            if isinstance(record, csv.Error):
                yield BadRow(number, number, "not_csv", f"not a record: {record}")
            elif len(record) != len(header):
                # Which of the columns is the text cannot be known: often an unquoted separator stands in it.
                counts = f"{len(record)} columns where the header has {len(header)}"
                yield BadRow(number, number, "not_csv", f"{counts}: a text that holds a separator must stand in quotes")
            else:
                yield _row(number, number if id_at is None else record[id_at], record[text_at])

    def _columns(self, names: list[str]) -> tuple[int, int | None]:
        wanted = (self.text_field,) if self.text_field is not None else TEXT_FIELDS
        text_at = next((names.index(name) for name in wanted if name in names), None)
        if text_at is None:
            raise InputError(
                f"{self.path}: the first line names no column {' or '.join(map(repr, wanted))}; it names "
                f"{', '.join(names[:12]) or 'nothing'}: say which holds the text with --text-field"
            )
        for name in (names[text_at], self.id_field):
            if names.count(name) > 1:
                raise InputError(f"{self.path}: the first line names two columns {name!r}: rename one of them")
        return text_at, names.index(self.id_field) if self.id_field in names else None


def format_of(path: Path) -> FileFormat:
    """The format by the file's name; one text a line if the name has no known suffix."""
    return _SUFFIXES.get(path.suffix.lower(), FileFormat.TEXT)


def digest(path: Path, sizes: Iterable[int]) -> dict[int, str]:
    """SHA-256 of the file's first bytes, for each of the sizes, in one pass."""
    found: dict[int, str] = {}
    running, read = hashlib.sha256(), 0
    with path.open("rb") as file:
        for size in sorted(set(sizes)):
            while read < size and (part := file.read(min(_PART, size - read))):
                running.update(part)
                read += len(part)
            found[size] = running.hexdigest()
    return found


def ends_line(path: Path, size: int) -> bool:
    """True if the file's first `size` bytes end with a line, so that what was appended after them changed no row of
    theirs.
    """
    with path.open("rb") as file:
        file.seek(max(0, size - 1))
        return size == 0 or b"\n" in file.read(2)


def _lines(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Lines of the first `size` bytes with their ends; of one longer than a row may be, its beginning without an
    end.
    """
    left = size
    start = file.read(min(left, len(_BOM)))
    if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise InputError(f"{file.name}: the file is UTF-16, not UTF-8: convert it with iconv")
    if start != _BOM:
        file.seek(0)
    else:
        left -= len(_BOM)
    while left > 0 and (line := file.readline(min(left, LONGEST_ROW + 1))):
        left -= len(line)
        rest = line
        while len(line) > LONGEST_ROW and left > 0 and rest and not rest.endswith(b"\n"):
            rest = file.readline(min(left, _PART))
            left -= len(rest)
        yield line


def _numbered(lines: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers; blank ones only once another follows."""
    blank: list[int] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            blank.append(number)
            continue
        yield from ((earlier, b"") for earlier in blank)
        blank = []
        yield number, line


def _too_large(number: int, line: bytes) -> BadRow | None:
    if len(line) <= LONGEST_ROW:
        return None
    return BadRow(number, number, "too_large", f"longer than {LONGEST_ROW // 1024 // 1024} MiB")


def _row(number: int, row_id: Any, text: object) -> InputRow | BadRow:
    """The row, if its text is one."""
    if isinstance(text, bytes):
        if too_large := _too_large(number, text):
            return too_large
        text = text.decode("utf-8", "surrogateescape").rstrip("\r\n")
    if not isinstance(text, str):
        return BadRow(number, row_id, "no_text", f"the text is {type(text).__name__}, not a string")
    if not text.strip():
        return BadRow(number, row_id, "empty", "the text is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        return BadRow(number, row_id, "not_utf8", "the text is not UTF-8: convert the file with iconv")
    return InputRow(number, row_id, text)
