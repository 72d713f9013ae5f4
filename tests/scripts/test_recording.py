"""The recording of a terminal."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from scripts.docs import recording
from scripts.docs.recording import Piece, laid_out, record, svg


def test_signs_become_styles_and_lines_rows() -> None:
    """A line longer than the terminal goes on in the next row; a carriage return begins its line anew."""
    output = [(1.0, "wait…\r\x1b[1mdone\x1b[0m: "), (2.0, "x" * 100 + "\r\n\x1b[31mred\x1b[0m\n")]
    pieces, row = laid_out(output, 3)
    assert pieces == [
        Piece(1.0, 3, 0, "done", "b"),
        Piece(1.0, 3, 4, ": ", ""),
        Piece(2.0, 3, 6, "x" * 94, ""),
        Piece(2.0, 4, 0, "x" * 6, ""),
        Piece(2.0, 5, 0, "red", "r"),
    ]
    assert row == 6


def test_a_command_is_typed_run_and_shown() -> None:
    """In a terminal of its own: it may use colours, and says how wide it is."""
    (first, *_, last) = record(["hearth '<%s>\\n' ü"], "printf")
    assert (first.text, first.row) == ("$ ", 0) and (last.text, last.row) == ("<ü>", 1) and last.at > first.at


def test_the_picture_is_well_formed() -> None:
    """Text is text, and it ends at the last row."""
    pieces = [Piece(n / 10, n, 0, f"line {n} <&>", "") for n in range(recording.ROWS + 4)]
    picture = ElementTree.fromstring(svg(pieces))
    texts = [each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[-1] == "line 29 <&>" and len(texts) == 30
    assert "translateY(-76.0px)" in svg(pieces)
