"""Where environments live and when they count as made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from local_models.replica import environment
from scripts import environments
from scripts.environments import ENGINES, GIB, Box, Listing

LOCK = b"torch==1\n"


def test_the_drivers_own_tool_decides_the_device() -> None:
    """A listed GPU means CUDA, no driver or no GPU the CPU; a driver that fails decides nothing."""
    assert environments.fitting_device(Listing(0, "GPU 0: NVIDIA L4 (UUID: GPU-1)\n")) == "cuda"
    assert environments.fitting_device(Listing(0, "No devices found.\n")) == "cpu"
    assert environments.fitting_device(None) == "cpu"
    assert (
        environments.fitting_device(Listing(18, "Failed to initialize NVML: Driver/library version mismatch")) is None
    )


GOOD = Box("Linux", "x86_64", frozenset({"avx2"}), frozenset({"libnuma.so.1"}), 100 * GIB)


def test_a_good_box_has_no_obstacles() -> None:
    """Nothing to say, for either engine."""
    assert [environments.obstacles(kind, GOOD, Path("/c")) for kind in ENGINES.values()] == [[], []]


@pytest.mark.parametrize(
    ("box", "words"),
    [
        (replace(GOOD, machine="aarch64"), "Linux x86-64 only; this is Linux on aarch64"),
        (replace(GOOD, system="Darwin"), "ENGINE=none"),
        (replace(GOOD, cpu_flags=frozenset()), "AVX2"),
        (replace(GOOD, libraries=frozenset()), "sudo apt install libnuma1"),
        (replace(GOOD, free=GIB), "6 GiB free in /c; there are 1.0"),
    ],
)
def test_each_obstacle_says_what_to_do(box: Box, words: str) -> None:
    """One fault, one sentence."""
    (said,) = environments.obstacles(ENGINES["cpu"], box, Path("/c"))
    assert words in said


def test_an_engine_serves_the_versions_its_lock_was_made_for() -> None:
    """The CPU build of torch is pinned for one Python; versions compare as numbers."""
    assert environments.fits((3, 11), ENGINES["cpu"])
    assert not environments.fits((3, 12), ENGINES["cpu"])
    assert environments.fits((3, 13), ENGINES["cuda"])
    assert not environments.fits((3, 9), ENGINES["cuda"])


def test_the_cache_follows_the_users_wish() -> None:
    """XDG_CACHE_HOME where it is an absolute path, else ~/.cache."""
    home = Path("/home/someone")
    assert environments.cache_home({"XDG_CACHE_HOME": "/big"}, home) == Path("/big/hearth")
    assert environments.cache_home({"XDG_CACHE_HOME": "relative"}, home) == home / ".cache" / "hearth"
    assert environments.cache_home({}, home) == home / ".cache" / "hearth"


def test_another_lock_makes_another_engine(tmp_path: Path) -> None:
    """A changed lock gets its own folder, and the old one is known as old."""
    first, second = (environments.engine_folder(tmp_path, "cpu", lock) for lock in (LOCK, b"torch==2\n"))
    first.mkdir()
    assert first != second
    assert environments.older_engines(tmp_path, second) == [first]
    assert environments.older_engines(tmp_path, first) == []


def test_the_runtime_finds_what_was_installed(tmp_path: Path) -> None:
    """The engine's side looks where the installer builds, and only at what is complete."""
    folder = environments.engine_folder(
        environments.cache_home({"XDG_CACHE_HOME": str(tmp_path)}, tmp_path), "cpu", LOCK
    )
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/bin/true")
    assert environment.installed(tmp_path, "cpu") == ()
    assert not environments.complete(folder)
    (folder / "complete").touch()
    assert environments.complete(folder)
    assert environment.installed(tmp_path, "cpu") == (python,)
    assert environment.installed(tmp_path, "cuda") == ()


def test_a_stamp_changes_with_what_is_installed_and_nothing_else() -> None:
    """Lint settings change nothing; a dependency does."""
    plain = '[project]\nname = "x"\ndependencies = ["a"]\n'
    linted = plain + "[tool.ruff]\nline-length = 120\n"
    other = plain.replace('"a"', '"b"')
    assert environments.installed_part(plain) == environments.installed_part(linted)
    assert environments.installed_part(plain) != environments.installed_part(other)
    assert environments.digest(b"a", b"b") != environments.digest(b"ab", b"")


def test_stamps_are_kept_by_set() -> None:
    """Bringing one set up to date leaves the others' stamps as they were."""
    text = environments.with_stamp(environments.with_stamp("", "core", "1"), "dev", "2")
    assert environments.stamps(environments.with_stamp(text, "core", "3")) == {"core": "3", "dev": "2"}
    assert environments.stamps("half\n\ncore 1\n") == {"core": "1"}
