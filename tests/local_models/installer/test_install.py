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


class Pip:
    """Stands in for the children of an installation: keeps what each pip was asked for; `ends` are their outcomes in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[list[str]] = []
        self.options: list[list[str]] = []
        self.ends: list[BaseException | None] = []
        self.trial: BaseException | None = None
        monkeypatch.setattr(progress, "follow", self.follow)
        monkeypatch.setattr(install, "make_venv", lambda python, where: where.mkdir(exist_ok=True))
        monkeypatch.setattr(install, "engine_python", lambda kind: sys.executable)

    def follow(self, line: progress.StepLine, command: list[str], log: Path, prefix: str = "") -> None:
        if "-r" not in command:
            end = self.trial
        else:
            batch = Path(command[command.index("-r") + 1]).read_text()
            self.batches.append([each.split("==")[0] for each in batch.splitlines()])
            self.options.append([word for word in command if word.startswith("--")])
            end = self.ends.pop(0) if self.ends else None
        if end is not None:
            raise end


LOCKED = [each.split("==")[0] for each in places.pinned(places.lock_file("cpu").read_text())]


def test_the_lock_is_installed_in_batches_and_the_marker_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every package once, torch first and alone, by hash and without what they ask for."""
    wanted, pip = places.current(tmp_path, "cpu"), Pip(monkeypatch)
    install.build_engine(ENGINES["cpu"], wanted)
    assert pip.batches[0] == ["torch"]
    assert [name for batch in pip.batches for name in batch] == LOCKED
    assert all({"--no-deps", "--require-hashes"} <= set(options) for options in pip.options)
    assert places.complete(wanted.folder)


def test_an_interrupted_installation_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch that was cut is installed again, over what is there; those before it are not."""
    wanted, pip = places.current(tmp_path, "cpu"), Pip(monkeypatch)
    pip.ends = [None, None, KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        install.build_engine(ENGINES["cpu"], wanted)
    assert not places.complete(wanted.folder)
    cut = pip.batches.pop()
    pip.options.pop()
    monkeypatch.setattr(install, "make_venv", lambda *_: pytest.fail("it was begun anew"))
    install.build_engine(ENGINES["cpu"], wanted)
    assert pip.batches[2] == cut
    assert [name for batch in pip.batches for name in batch] == LOCKED
    assert ["--force-reinstall" in options for options in pip.options[1:4]] == [False, True, False]
    assert places.complete(wanted.folder)


def test_an_engine_that_does_not_run_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not whole, and nothing of it is built upon."""
    wanted, pip = places.current(tmp_path, "cpu"), Pip(monkeypatch)
    pip.trial = progress.StepFailedError("no module named torch")
    with pytest.raises(progress.StepFailedError):
        install.build_engine(ENGINES["cpu"], wanted)
    assert not places.complete(wanted.folder)
    anew: list[Path] = []
    monkeypatch.setattr(install, "make_venv", lambda python, where: anew.append(where))
    pip.trial = None
    install.build_engine(ENGINES["cpu"], wanted)
    assert anew == [wanted.folder]


def test_the_late_index_is_asked_only_for_the_missing_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another failure is not made worse by downloading from somewhere else."""
    wanted, pip = places.current(tmp_path, "cpu"), Pip(monkeypatch)
    pip.ends = [progress.StepFailedError("ERROR: No matching distribution found for torch==2.13.0+cpu")]
    install.build_engine(ENGINES["cpu"], wanted)
    assert pip.batches[:2] == [["torch"], ["torch"]]
    assert ["--extra-index-url" in options for options in pip.options[:3]] == [False, True, True]
    other = EngineEnvironment(tmp_path / "engine-cpu-other", "cpu", current=False, complete=False)
    pip.ends = [progress.StepFailedError("ERROR: No matching distribution found for numpy==1")]
    with pytest.raises(progress.StepFailedError):
        install.build_engine(ENGINES["cpu"], other)


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


def test_a_python_without_ensurepip_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian splits it off; another interpreter is searched for instead."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    nowhere = {"PATH": "/usr/bin:/bin", "HEARTH_PYTHON_PATH": str(tmp_path), "PYTHON": sys.executable}
    this = f"{sys.version_info.major}.{sys.version_info.minor}"
    with pytest.raises(install.UnfitBoxError, match=f"needs a Python {this} to {this}"):
        install.engine_python(EngineKind("cpu", this, this, 0), nowhere)
