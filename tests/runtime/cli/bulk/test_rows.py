"""Rows out of files as people have them."""

from pathlib import Path

import pytest

from runtime.cli.bulk import rows as module
from runtime.cli.bulk.rows import BadRow, FileFormat, InputError, InputRow, Source, digest, ends_line, format_of


def source(tmp_path: Path, content: bytes, format_: FileFormat, text_field: str | None = None) -> Source:
    path = tmp_path / "in"
    path.write_bytes(content)
    return Source(path, format_, len(content), text_field)


def shown(found: Source) -> list[tuple[int, object, str]]:
    """Number, id, and text or the code of what is wrong; the count must agree."""
    rows = list(found.rows())
    assert found.count() == len(rows)
    return [(row.number, row.id, row.text if isinstance(row, InputRow) else f"!{row.code}") for row in rows]


def test_json_lines_give_text_or_prompt_and_their_own_ids(tmp_path: Path) -> None:
    """A row without an id has its line's number."""
    content = b'\xef\xbb\xbf{"id":"a","text":"x"}\r\n{"prompt":"y","id":7}\n{"text":"z"}'
    assert shown(source(tmp_path, content, FileFormat.JSONL)) == [(1, "a", "x"), (2, 7, "y"), (3, 3, "z")]


def test_a_named_field_is_the_only_one_looked_at(tmp_path: Path) -> None:
    """Another field must not stand in for it."""
    content = b'{"body":"x","text":"no"}\n{"text":"no"}\n'
    assert shown(source(tmp_path, content, FileFormat.JSONL, "body")) == [(1, 1, "x"), (2, 2, "!no_text")]


def test_csv_records_may_hold_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    """Records are counted, not lines; a byte order mark before the header is none of its name."""
    content = b'\xef\xbb\xbftext,id\r\n"a, ""b""\nc",1\r\n\r\nd,2\n,3\nshort\n'
    assert shown(source(tmp_path, content, FileFormat.CSV)) == [
        (1, "1", 'a, "b"\nc'),
        (2, "2", "d"),
        (3, "3", "!empty"),
        (4, 4, "!not_csv"),
    ]


def test_tsv_keeps_commas(tmp_path: Path) -> None:
    """The tab is the only divider."""
    assert shown(source(tmp_path, b"id\ttext\n1\ta, b\n2\n", FileFormat.TSV)) == [
        (1, "1", "a, b"),
        (2, 2, "!not_csv"),
    ]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (
            b'id,text\n1,"the handle broke\n2,fine\n3,"quoted, too"\n4,last\n',
            [(1, 1, "!not_csv"), (2, "2", "fine"), (3, "3", "quoted, too"), (4, "4", "last")],
        ),
        (b'id,text\n1,fine\n2,"open\n3,c\n', [(1, "1", "fine"), (2, 2, "!not_csv"), (3, "3", "c")]),
        (b'id,text\n1,"open', [(1, 1, "!not_csv")]),
        (b"id,text\n1,good, but slow\n2,bad\n", [(1, 1, "!not_csv"), (2, "2", "bad")]),
        (b"text,id\r\ngood, but slow,1\r\n\r\nbad,2\r\n", [(1, 1, "!not_csv"), (2, "2", "bad")]),
        (b"text\ngood, but slow\nbad\n", [(1, 1, "!not_csv"), (2, 2, "bad")]),
        (b'id,text\n1,"a" b\n2,"c\r\nd"\n', [(1, 1, "!not_csv"), (2, "2", "c\r\nd")]),
        (b'id,text\n1,5" pipe\n2,\xff\n3,x\n', [(1, "1", '5" pipe'), (2, "2", "!not_utf8"), (3, "3", "x")]),
        (
            '\ufeffid,text\r\n١,"مرحبا، أهلا"\r\n2,"好，坏"\r\n3,हिन्दी\r\n4,👩\u200d👩\r\n'.encode(),
            [(1, "١", "مرحبا، أهلا"), (2, "2", "好，坏"), (3, "3", "हिन्दी"), (4, "4", "👩\u200d👩")],
        ),
    ],
)
def test_a_malformed_record_is_bad_alone(tmp_path: Path, content: bytes, found: list[tuple[int, object, str]]) -> None:
    """Each bad record is named, the rows after it are read, and none is read as another text."""
    assert shown(source(tmp_path, content, FileFormat.CSV)) == found
    tabs = content.replace(b",", b"\t")
    assert [number for number, _, text in shown(source(tmp_path, tabs, FileFormat.TSV)) if text == "!not_csv"] == [
        number for number, _, text in found if text == "!not_csv"
    ]


def test_a_quote_that_is_never_closed_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the longest row is read ahead, and no line behind it is lost."""
    monkeypatch.setattr(module, "LONGEST_ROW", 64)
    found = shown(source(tmp_path, b'id,text\n1,"open\n' + b"2,fine\n" * 500, FileFormat.CSV))
    assert found[0] == (1, 1, "!not_csv")
    assert [text for _, _, text in found[1:]] == ["fine"] * 500


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'id,"text\n1,a\n', "no header"),
        (b"text,text\na,b\n", "two columns 'text'"),
        (b"id,text,id\n1,a,2\n", "two columns 'id'"),
        ("id,text\n1,a\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_header_that_could_be_misread_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    """No row is guessed."""
    with pytest.raises(InputError, match=words):
        list(source(tmp_path, content, FileFormat.CSV).rows())


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n"])
def test_a_header_without_the_text_is_told_with_what_it_has(tmp_path: Path, content: bytes) -> None:
    """Before anything is written."""
    with pytest.raises(InputError, match="--text-field"):
        list(source(tmp_path, content, FileFormat.CSV).rows())


def test_blank_lines_keep_numbers_lines_and_trailing_ones_are_none(tmp_path: Path) -> None:
    """A row's number is where an editor finds it."""
    assert shown(source(tmp_path, b"a\n\n b \n\n\n", FileFormat.TEXT)) == [(1, 1, "a"), (2, 2, "!empty"), (3, 3, " b ")]


def test_what_is_not_utf8_is_a_bad_row_and_no_more(tmp_path: Path) -> None:
    """Rows beside it are read."""
    assert shown(source(tmp_path, b"a\n\xff\xfe\nb\n", FileFormat.TEXT)) == [
        (1, 1, "a"),
        (2, 2, "!not_utf8"),
        (3, 3, "b"),
    ]


@pytest.mark.parametrize("format_", [FileFormat.TEXT, FileFormat.JSONL])
def test_a_line_without_end_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: FileFormat
) -> None:
    """It is skipped whole, and the next line is the next row."""
    monkeypatch.setattr(module, "LONGEST_ROW", 64)
    monkeypatch.setattr(module, "_PART", 50)
    last = b'{"text":"c"}' if format_ is FileFormat.JSONL else b"c"
    found = list(source(tmp_path, b"b" * 5000 + b"\n" + last + b"\n", format_).rows())
    assert [type(row) for row in found] == [BadRow, InputRow]
    assert found[0].number == 1
    assert isinstance(found[0], BadRow)
    assert found[0].code == "too_large"


def test_only_the_bytes_that_were_there_count(tmp_path: Path) -> None:
    """What is appended while a run reads belongs to the next one."""
    found = source(tmp_path, b"a\nb\n", FileFormat.TEXT)
    with found.path.open("ab") as file:
        file.write(b"c\n")
    assert shown(found) == [(1, 1, "a"), (2, 2, "b")]


def test_digests_of_beginnings_come_from_one_pass(tmp_path: Path) -> None:
    """The digest of a beginning is that of a file that ends there."""
    long = source(tmp_path, b"abcdef", FileFormat.TEXT)
    found = digest(long.path, [6, 3])
    short = tmp_path / "short"
    short.write_bytes(b"abc")
    assert found[3] == digest(short, [3])[3] != found[6]


@pytest.mark.parametrize(("size", "ends"), [(0, True), (1, True), (2, True), (3, False), (4, True)])
def test_a_beginning_ends_a_line_before_or_after_its_line_break(tmp_path: Path, size: int, ends: bool) -> None:
    """Either way the line is the same to a reader."""
    path = tmp_path / "in"
    path.write_bytes(b"a\nbc\nd")
    assert ends_line(path, size) == ends


@pytest.mark.parametrize(("name", "format_"), [("a.JSONL", "jsonl"), ("a.csv", "csv"), ("a.tab", "tsv"), ("a", "text")])
def test_a_files_name_says_what_it_is(name: str, format_: str) -> None:
    """And a text a line where it says nothing."""
    assert format_of(Path(name)) == format_
