"""The installer: half-made engines are made again, two at once wait, and an unfit box is told before downloading."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from local_models.installer import install, places, progress
from local_models.installer.kinds import ENGINES, EngineKind, Machine
from local_models.installer.places import EngineEnvironment

ROOT = Path(__file__).resolve().parents[3]


def test_a_fit_engine_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Complete means nothing is done, whatever the disk or the network say."""
    there = places.current(tmp_path, "cpu")
    there.folder.mkdir()
    (there.folder / "complete").touch()
    monkeypatch.setattr(install, "build_engine", lambda *_: pytest.fail("it was built again"))
    assert install.install_engine("cpu", tmp_path).complete


def test_a_half_made_engine_is_removed_before_it_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an interrupted installation left is not built upon, and the marker is written last of all."""
    folder = tmp_path / "engine-cpu-0"
    folder.mkdir()
    wanted = EngineEnvironment(folder, "cpu", current=True, complete=False)
    wanted.downloads.mkdir()
    (folder / "left-over").touch()
    steps: list[tuple[str, bool]] = []

    def step(title: str, command: list[str], log: Path, packages: int = 0) -> None:
        steps.append((title, (folder / "left-over").exists() or (folder / "complete").exists()))

    monkeypatch.setattr(progress, "run", step)
    monkeypatch.setattr(install, "make_venv", lambda python, where: where.mkdir())
    monkeypatch.setattr(install, "engine_python", lambda kind: sys.executable)
    install.build_engine(ENGINES["cpu"], wanted)
    assert steps == [("The engine's packages (cpu)", False), ("Trying the engine", False)]
    assert places.complete(folder)
    assert not wanted.downloads.exists()


def test_the_late_index_is_asked_only_for_the_missing_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another failure is not made worse by downloading from somewhere else."""
    commands: list[list[str]] = []
    failures = ["ERROR: No matching distribution found for torch==2.13.0+cpu", ""]

    def step(title: str, command: list[str], log: Path, packages: int = 0) -> None:
        commands.append(command)
        if failure := failures.pop(0):
            raise progress.StepFailedError(failure)

    monkeypatch.setattr(progress, "run", step)
    install.install_with_late_index(ENGINES["cpu"], ["pip"], Path("log"))
    assert commands == [["pip"], ["pip", "--extra-index-url", "https://download.pytorch.org/whl/cpu"]]
    failures[:] = ["ERROR: No matching distribution found for numpy==1"]
    with pytest.raises(progress.StepFailedError):
        install.install_with_late_index(ENGINES["cpu"], ["pip"], Path("log"))


def test_a_broken_driver_is_told_and_not_passed_over(tmp_path: Path) -> None:
    """No silent fall from the GPU to the CPU: the tool's own words, and how to mean the CPU."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'Driver/library version mismatch'; exit 18\n")
    tool.chmod(0o755)
    with pytest.raises(install.UnfitBoxError, match=r"(?s)version mismatch.*--device cpu"):
        install.detect_device(str(tool))
    tool.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA L4'\n")
    assert install.detect_device(str(tool)) == "cuda"
    assert install.detect_device(str(tmp_path / "absent")) == "cpu"


def test_an_unfit_box_is_told_before_anything_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing ends the installation before a folder is made."""
    monkeypatch.setattr(install, "look_at", lambda kind, cache: Machine("Linux", "x86_64", frozenset(), frozenset(), 0))
    with pytest.raises(install.UnfitBoxError, match="AVX2"):
        install.install_engine("cpu", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_box_is_seen_as_it_is(tmp_path: Path) -> None:
    """Every Linux has a C library and no library of a made-up name; the disk has some room."""
    kind = EngineKind("cpu", "3.11", "3.11", 0, library=("libc.so.6", "libc6"))
    box = install.look_at(kind, tmp_path)
    assert box.libraries == {"libc.so.6"}
    assert box.free > 0
    assert not install.loads("libthere-is-none.so.9")


def holder(lock: Path) -> subprocess.Popen[str]:
    """A process that takes the lock, says so, and keeps it until its input ends."""
    script = (
        "import sys, pathlib; from local_models.installer.install import only_one\n"
        "with only_one(pathlib.Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(lock)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_two_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """The second says that it waits, and enters when the first has left, however that one ended."""
    lock = tmp_path / "lock"
    with holder(lock) as first:
        assert says(first) == "in"
        with holder(lock) as second:
            assert says(second) == f"Another installation is at work ({lock}); waiting for it."
            first.kill()
            assert says(second) == "in"


def test_an_interrupted_download_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both tries use one download folder beside the environment, which only the finished one removes."""
    wanted = places.current(tmp_path, "cpu")
    caches: list[str] = []

    def step(title: str, command: list[str], log: Path, packages: int = 0) -> None:
        if "--cache-dir" in command:
            caches.append(command[command.index("--cache-dir") + 1])
            (Path(caches[-1])).mkdir(exist_ok=True)
            (Path(caches[-1]) / f"try-{len(caches)}").touch()
            assert packages > 100
            if len(caches) == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(progress, "run", step)
    monkeypatch.setattr(install, "make_venv", lambda python, where: where.mkdir())
    monkeypatch.setattr(install, "engine_python", lambda kind: sys.executable)
    with pytest.raises(KeyboardInterrupt):
        install.build_engine(ENGINES["cpu"], wanted)
    assert (wanted.downloads / "try-1").exists() and not places.complete(wanted.folder)
    install.build_engine(ENGINES["cpu"], wanted)
    assert caches == [str(wanted.downloads)] * 2
    assert [path.name for path in tmp_path.iterdir()] == [wanted.folder.name]


def test_a_python_without_ensurepip_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian splits it off; another interpreter is searched for instead."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    nowhere = {"PATH": "/usr/bin:/bin", "HEARTH_PYTHON_PATH": str(tmp_path), "PYTHON": sys.executable}
    this = f"{sys.version_info.major}.{sys.version_info.minor}"
    with pytest.raises(install.UnfitBoxError, match=f"needs a Python {this} to {this}"):
        install.engine_python(EngineKind("cpu", this, this, 0), nowhere)
