"""`hearth engine`: what is there is listed, what is unfit is not begun, what is in use is not removed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_models.installer import places
from local_models.installer.install import UnfitBoxError
from runtime.cli import engine
from runtime.cli.exits import Exit
from runtime.cli.group import run


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of Hearth's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("HEARTH_ENGINE_PYTHON", raising=False)
    folder = tmp_path / "hearth"
    folder.mkdir()
    return folder


def made(cache: Path, name: str, *, complete: bool = True) -> Path:
    """An environment whose Python is this one, under another name."""
    folder = cache / name
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    if complete:
        (folder / "complete").touch()
    return folder


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(("engine", *arguments), sys.stdout, sys.stderr)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_an_empty_cache_says_how_to_fill_it(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In words and as JSON."""
    assert said(capsys, "list") == (0, "no engine is installed: hearth engine install\n", "")
    assert json.loads(said(capsys, "list", "--json")[1]) == []


def test_the_list_says_what_each_is(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """This version's, and an unfinished one of another."""
    ours = made(cache, places.current(cache, "cpu").folder.name)
    made(cache, "engine-cuda-000000000000", complete=False)
    code, out, _ = said(capsys, "list", "--json")
    first, second = json.loads(out)
    assert (code, first["name"], first["current"], first["complete"]) == (0, ours.name, True, True)
    assert (second["state"], second["vllm"], second["device"]) == ("unfinished", None, "cuda")
    assert ours.name in said(capsys, "list")[1]


def test_an_unfit_box_is_an_error_in_words(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do, exit code 1, and nothing made."""

    def unfit(device: str, cache: Path) -> None:
        raise UnfitBoxError("The cpu engine needs 6 GiB free")

    monkeypatch.setattr(engine, "install_engine", unfit)
    code, _, err = said(capsys, "install", "--device", "cpu")
    assert code == Exit.FAILED
    assert "needs 6 GiB free" in err
    assert list(cache.iterdir()) == []


def test_nothing_is_installed_beside_a_python_of_ones_own(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """HEARTH_ENGINE_PYTHON, and a device of "none"."""
    monkeypatch.setattr(engine, "install_engine", lambda *_: pytest.fail("it was installed"))
    assert said(capsys, "install", "--device", "none")[0] == 0
    monkeypatch.setenv("HEARTH_ENGINE_PYTHON", "/own/python")
    assert "/own/python" in said(capsys, "install")[1]


def test_the_device_of_the_environment_is_the_default(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting that the runtime reads decides here too."""
    asked: list[str] = []

    def install(device: str, where: Path) -> places.EngineEnvironment:
        asked.append(str(device))
        return places.current(where, "cuda")

    monkeypatch.setattr(engine, "install_engine", install)
    monkeypatch.setenv("HEARTH_ENGINE__DEVICE", "cuda")
    assert said(capsys, "install")[0] == 0
    assert said(capsys, "install", "--device", "cpu")[0] == 0
    assert asked == ["cuda", "cpu"]


def test_older_ones_are_removed_and_this_versions_stays(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unfinished ones go too."""
    ours = made(cache, places.current(cache, "cpu").folder.name)
    made(cache, "engine-cpu-000000000000")
    made(cache, "engine-cuda-000000000000", complete=False)
    code, out, _ = said(capsys, "remove", "--older")
    assert code == 0
    assert out.count("removed ") == 2
    assert list(cache.iterdir()) == [ours]
    assert said(capsys, "remove", "--older")[1] == "nothing to remove\n"
    assert said(capsys, "remove", "--all")[0] == 0
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"), [((), "--older or --all"), (("engine-cpu-9",), "no engine environment is called")]
)
def test_a_removal_of_nothing_named_is_refused(
    cache: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    """Nothing is removed by guessing."""
    kept = made(cache, "engine-cpu-000000000000")
    code, _, err = said(capsys, "remove", *arguments)
    assert code == Exit.USAGE
    assert words in err
    assert kept.is_dir()


@pytest.fixture
def user(cache: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs from an environment."""
    folder = made(cache, "engine-cpu-000000000000")
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").symlink_to(sys.executable)
    command = [str(folder / "bin" / "python"), "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_what_runs_is_not_removed(
    cache: Path, capsys: pytest.CaptureFixture[str], user: subprocess.Popen[bytes]
) -> None:
    """The error names the process, and nothing else is removed either."""
    made(cache, "engine-cpu-111111111111")
    code, _, err = said(capsys, "remove", "--all")
    assert code == Exit.FAILED
    assert f"in use by {user.pid}" in err
    assert len(list(cache.iterdir())) == 2
