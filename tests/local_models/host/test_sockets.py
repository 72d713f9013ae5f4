"""The private folder of the engines' sockets."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from local_models.host.sockets import make_private, remove_stale, socket_folder


def test_the_folder_is_below_the_state_folder(tmp_path: Path) -> None:
    """A short state folder keeps its sockets itself."""
    assert socket_folder(Path("/var/lib/hearth")) == Path("/var/lib/hearth/sockets")


def test_a_long_state_folder_gets_a_short_one_of_its_own(tmp_path: Path) -> None:
    """Every socket path stays under 107 bytes, the same one is found again, and two state folders never share one."""
    long, other = tmp_path / ("ü" * 60) / "a", tmp_path / ("ü" * 60) / "b"
    folder = socket_folder(long, Path("/tmp"))
    assert len(bytes(folder / "replica-999.sock")) < 107
    assert folder == socket_folder(long, Path("/tmp")) != socket_folder(other, Path("/tmp"))


def test_only_its_owner_may_enter(tmp_path: Path) -> None:
    """The folder is 0700, also when it was there before with wider rights."""
    folder = tmp_path / "state" / "sockets"
    folder.mkdir(parents=True, mode=0o755)
    make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_laid_ready_by_a_link_is_refused(tmp_path: Path) -> None:
    """A symbolic link in its place could lead the sockets to somebody else."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "sockets").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="HEARTH_STATE_DIR"):
        make_private(tmp_path / "sockets")


def test_a_stale_socket_is_removed_once(tmp_path: Path) -> None:
    """True when there was one to remove."""
    (tmp_path / "a.sock").touch()
    assert [remove_stale(tmp_path / "a.sock"), remove_stale(tmp_path / "a.sock")] == [True, False]
