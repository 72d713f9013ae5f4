"""What an engine needs of a machine, where its environment lives, and when it counts as made."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from local_models.installer import kinds, places
from local_models.installer.kinds import ENGINES, GIB, Listing, Machine
from local_models.installer.places import EngineEnvironment
from local_models.replica import environment as replica

LOCK = b"torch==1\n"


def test_the_drivers_own_tool_decides_the_device() -> None:
    """A listed GPU means CUDA, no driver or no GPU the CPU; a driver that fails decides nothing."""
    assert kinds.fitting_device(Listing(0, "GPU 0: NVIDIA L4 (UUID: GPU-1)\n")) == "cuda"
    assert kinds.fitting_device(Listing(0, "No devices found.\n")) == "cpu"
    assert kinds.fitting_device(None) == "cpu"
    assert kinds.fitting_device(Listing(18, "Failed to initialize NVML: Driver/library version mismatch")) is None


GOOD = Machine("Linux", "x86_64", frozenset({"avx2"}), frozenset({"libnuma.so.1"}), 100 * GIB)


def test_a_good_box_has_no_obstacles() -> None:
    """Nothing to say, for either engine."""
    assert [kinds.obstacles(kind, GOOD, Path("/c")) for kind in ENGINES.values()] == [[], []]


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (replace(GOOD, name="aarch64"), "Linux x86-64 only; this is Linux on aarch64"),
        (replace(GOOD, system="Darwin"), "ENGINE=none"),
        (replace(GOOD, cpu_flags=frozenset()), "AVX2"),
        (replace(GOOD, libraries=frozenset()), "sudo apt install libnuma1"),
        (replace(GOOD, free=GIB), "6 GiB free in /c; there are 1.0"),
    ],
)
def test_each_obstacle_says_what_to_do(machine: Machine, words: str) -> None:
    """One fault, one sentence."""
    (said,) = kinds.obstacles(ENGINES["cpu"], machine, Path("/c"))
    assert words in said


def test_an_engine_serves_the_versions_its_lock_was_made_for() -> None:
    """The CPU build of torch is pinned for one Python; versions compare as numbers."""
    assert kinds.fits((3, 11), ENGINES["cpu"])
    assert not kinds.fits((3, 12), ENGINES["cpu"])
    assert kinds.fits((3, 13), ENGINES["cuda"])
    assert not kinds.fits((3, 9), ENGINES["cuda"])


def test_another_lock_makes_another_engine(tmp_path: Path) -> None:
    """A changed lock gets its own folder, and the old one is known as old."""
    first, second = (places.engine_folder(tmp_path, "cpu", lock) for lock in (LOCK, b"torch==2\n"))
    assert first != second


def environment(cache: Path, name: str, *, complete: bool = True, age: float = 0) -> Path:
    folder = cache / name
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to("/bin/true")
    if complete:
        (folder / "complete").touch()
        os.utime(folder / "complete", (1e9 - age, 1e9 - age))
    return folder


def test_the_environments_of_a_cache_are_listed(tmp_path: Path) -> None:
    """This version's own one first, however old; then the newest; what is unfinished last."""
    ours = environment(tmp_path, places.current(tmp_path, "cpu").folder.name, age=900)
    old = environment(tmp_path, "engine-cpu-000000000000", age=50)
    newer = environment(tmp_path, "engine-cpu-111111111111", age=10)
    half = environment(tmp_path, "engine-cuda-222222222222", complete=False)
    (tmp_path / "engine-cpu-000000000000.lock").touch()
    found = list(places.environments(tmp_path))
    assert [each.folder for each in found] == [ours, newer, old, half]
    assert [each.current for each in found] == [True, False, False, False]
    assert [each.complete for each in found] == [True, True, True, False]
    assert found[0].python == ours / "bin" / "python"


def test_the_runtime_takes_the_engine_of_its_own_version(tmp_path: Path) -> None:
    """So that going back to an older Hearth goes back to its engine too; half-made ones never count."""
    ours = environment(tmp_path, places.current(tmp_path, "cpu").folder.name, age=900)
    newer = environment(tmp_path, "engine-cpu-111111111111", age=10)
    environment(tmp_path, "engine-cpu-222222222222", complete=False)
    assert replica.installed(tmp_path, "cpu") == (ours / "bin" / "python", newer / "bin" / "python")
    assert replica.installed(tmp_path, "cuda") == ()


def test_removing_takes_everything_that_belongs_to_it(tmp_path: Path) -> None:
    """The environment and its lock file."""
    there = EngineEnvironment(environment(tmp_path, "engine-cpu-000000000000"), "cpu", current=False, complete=True)
    (there.folder / "module").write_bytes(b"x" * 5000)
    there.lock.touch()
    assert there.size() >= 5000
    there.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_locks_are_part_of_the_package() -> None:
    """Each kind has one, and it pins vLLM."""
    for device in ENGINES:
        assert "vllm" in places.lock_file(device).read_text()
        assert len(places.pinned(places.lock_file(device).read_text())) > 100


def test_the_pins_of_a_lock_are_whole() -> None:
    """Hashes on lines of their own belong to the package before them; comments are none."""
    lock = "# made by\na==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\nb==2 ; python_version < '3.12' --hash=sha256:3\n"
    first, second = places.pinned(lock)
    assert first.split() == ["a==1", "--hash=sha256:1", "--hash=sha256:2"]
    assert second.startswith("b==2 ;")
