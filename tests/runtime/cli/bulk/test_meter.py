"""How far a run is, in words and as a bar."""

import io

import pytest

from runtime.cli.bulk.meter import Bar, Lines, Rate, left, meter_for
from tests.fakes.clock import FakeClock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_the_rate_is_that_of_the_last_seconds() -> None:
    """A pause an hour ago says nothing about now."""
    clock = FakeClock()
    rate = Rate(clock)
    rate.at(0)
    await clock.advance(1000)
    rate.at(10)
    for second in range(1, 31):
        await clock.advance(1)
        found = rate.at(10 + 5 * second)
    assert found == pytest.approx(5.0)


def test_the_time_left_is_unknown_until_something_moves() -> None:
    """No division by nothing."""
    assert left(10, 0, 0.0) == "?"
    assert left(100, 40, 2.0) == "30.0 s"


async def test_lines_come_every_ten_seconds_and_when_trouble_begins() -> None:
    """A log is not flooded."""
    clock, stream = FakeClock(), io.StringIO()
    with Lines(stream, 100, 20, clock) as meter:
        for second in range(25):
            meter.show(20 + second, 1, "engine is starting" if second == 13 else "")
            await clock.advance(1)
    said = stream.getvalue().splitlines()
    assert said[0] == "100 rows (20 done before)"
    assert "1 bad" in said[1]
    assert sum("engine is starting" in line for line in said) == 1
    assert len(said) < 7


async def test_a_terminal_gets_a_bar_with_rate_and_time_left() -> None:
    """And whatever the trouble says, brackets and all."""
    clock, stream = FakeClock(), Terminal()
    meter = meter_for(stream, 100, 0, clock)
    assert isinstance(meter, Bar)
    with meter:
        meter.show(0, 0, "")
        await clock.advance(10)
        meter.show(50, 2, "[/no markup]")
    assert "5.0 rows/s, 10.0 s left" in stream.getvalue()
    assert isinstance(meter_for(io.StringIO(), 1, 0, clock), Lines)
