"""Open breakers outlive the process."""

from __future__ import annotations

from pathlib import Path

from runtime.record.breakers import BreakerFile, OpenTime


def test_what_is_open_is_read_back_until_its_wait_is_over(tmp_path: Path) -> None:
    """The wait goes on while nobody runs."""
    file = BreakerFile(tmp_path / "breakers.json")
    file.write({"one": (2, 30.0)}, 1000.0)
    assert BreakerFile(tmp_path / "breakers.json").read(1010.0) == {"one": (2, 20.0)}
    assert BreakerFile(tmp_path / "breakers.json").read(1031.0) == {}


def test_closing_is_remembered_too_and_damage_is_nothing(tmp_path: Path) -> None:
    """A target that answered again is not held back after a restart; a broken file is no file."""
    path = tmp_path / "breakers.json"
    file = BreakerFile(path)
    file.write({"one": (1, 30.0)}, 0.0)
    file.write({}, 1.0)
    assert file.read(2.0) == {}
    path.write_bytes(b"{nonsense")
    assert file.read(2.0) == {} and BreakerFile(tmp_path / "none.json").read(0.0) == {}


def test_the_time_with_an_open_breaker_is_added_up_by_target() -> None:
    """From the look that saw it open to the first that did not."""
    counted: list[tuple[str, float]] = []
    times = OpenTime(lambda label, seconds: counted.append((label, seconds)), 10.0)
    for labels, now in ((["a"], 11.0), (["a", "b"], 12.0), (["b"], 14.0), ([], 15.0), ([], 16.0)):
        times.look(labels, now)
    assert counted[0] == ("a", 1.0)
    assert sum(seconds for label, seconds in counted if label == "a") == 3.0
    assert sum(seconds for label, seconds in counted if label == "b") == 3.0
