"""The admin key of the state folder: made once, private, and replaced when it may be known to others."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from runtime.trust.admin_key import NAME, local_admin_key


def test_it_is_made_once_and_kept(tmp_path: Path) -> None:
    """Readable by its owner alone, without a temporary file left behind."""
    key = local_admin_key(tmp_path)
    assert len(key) > 40 and local_admin_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("text", ["", "x", "hearth-admin-", "\n"])
def test_a_file_without_a_key_is_replaced(tmp_path: Path, text: str) -> None:
    """An empty or cut file opens nothing."""
    (tmp_path / NAME).write_text(text)
    (tmp_path / NAME).chmod(0o600)
    assert len(local_admin_key(tmp_path)) > 40


def test_a_key_others_could_read_is_replaced(tmp_path: Path) -> None:
    """The old one may be known."""
    key = local_admin_key(tmp_path)
    (tmp_path / NAME).chmod(0o644)
    fresh = local_admin_key(tmp_path)
    assert fresh != key and stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A link in its place is replaced, and the file it leads to stays as it is."""
    other = tmp_path / "other"
    other.write_text("hearth-admin-" + "x" * 43)
    other.chmod(0o600)
    (tmp_path / NAME).symlink_to(other)
    assert "xxx" not in local_admin_key(tmp_path)
    assert not (tmp_path / NAME).is_symlink() and other.read_text().endswith("x")


def test_leftovers_of_a_crash_do_not_stand_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-written file of an earlier process with the same number is overwritten."""
    monkeypatch.setattr("os.getpid", lambda: 7)
    (tmp_path / f"{NAME}.7").write_text("half")
    assert len(local_admin_key(tmp_path)) > 40
