"""Open breakers outlive the process."""

from __future__ import annotations

from pathlib import Path

from runtime.record.breakers import BreakerFile


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
