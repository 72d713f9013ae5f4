"""Text for people: styles only where wanted, columns that align, amounts one can read."""

from __future__ import annotations

import io

import pytest

from runtime.cli.paint import PLAIN, Paint, amount, columns, duration, paint_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "env", "colour"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colours_only_on_a_terminal_that_wants_them(stream: io.StringIO, env: dict[str, str], colour: bool) -> None:
    """NO_COLOR and a dumb terminal switch them off; a pipe never has them."""
    assert paint_for(stream, env).colour is colour


def test_columns_align_with_and_without_colour() -> None:
    """Widths count what is seen; the last column is not padded."""
    rows = [[("a", "red"), ("bb", ""), ("c", "")], [("aaa", ""), ("b", "bold"), ("cc", "")]]
    assert columns(rows, PLAIN) == ["  a    bb  c", "  aaa  b   cc"]
    assert columns(rows, Paint(True))[0] == "  \x1b[31ma\x1b[0m    bb  c"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.005, "5 ms"),
        (1.24, "1.2 s"),
        (200, "3 min 20 s"),
        (3599, "59 min 59 s"),
        (14_700, "4 h 5 min"),
        (180_000, "2 d 2 h"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    """Two units at most."""
    assert duration(seconds) == words


def test_amounts_of_memory() -> None:
    """GiB from one on, MiB below."""
    assert (amount(3 * 2**30), amount(5 * 2**20)) == ("3.0 GiB", "5 MiB")
