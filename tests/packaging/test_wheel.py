"""The wheel: the same bytes whoever builds it, complete, and working without the checkout on every Python that is here."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

from local_models.installer.install import FINDER
from scripts.bench.processes import Running, free_port
from scripts.install import ROOT
from tests.packaging.test_image import until

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(700)]


def build(tools: Path, source: Path, target: Path, *what: str) -> Path:
    """The built file of a source tree."""
    subprocess.run([tools / "hatchling", "build", "-d", target, *what], cwd=source, check=True, capture_output=True)
    (made,) = target.iterdir()
    return made


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def wheel(wheel_tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(wheel_tools, ROOT, tmp_path_factory.mktemp("wheel"), "-t", "wheel")


@pytest.fixture(scope="session")
def sdist(wheel_tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(wheel_tools, ROOT, tmp_path_factory.mktemp("sdist"), "-t", "sdist")


def test_a_second_build_is_the_same_bytes(wheel_tools: Path, wheel: Path, sdist: Path, tmp_path: Path) -> None:
    """Neither the time nor the folder of a build is in it."""
    assert digest(build(wheel_tools, ROOT, tmp_path / "wheel", "-t", "wheel")) == digest(wheel)
    assert digest(build(wheel_tools, ROOT, tmp_path / "sdist", "-t", "sdist")) == digest(sdist)


def test_the_sdist_builds_the_same_wheel(wheel_tools: Path, wheel: Path, sdist: Path, tmp_path: Path) -> None:
    """Elsewhere, from its own files alone."""
    (tmp_path / "source").mkdir()
    subprocess.run(["tar", "-xzf", sdist, "-C", tmp_path / "source"], check=True)
    (source,) = (tmp_path / "source").iterdir()
    assert digest(build(wheel_tools, source, tmp_path / "made", "-t", "wheel")) == digest(wheel)


def test_the_checks_of_the_package_index_pass(wheel_tools: Path, wheel: Path, sdist: Path) -> None:
    """Its metadata, and what lies where in the wheel."""
    for command in (
        ["twine", "check", "--strict", str(wheel), str(sdist)],
        ["check-wheel-contents", "--config", str(ROOT / "pyproject.toml"), str(wheel)],
    ):
        ended = subprocess.run([wheel_tools / command[0], *command[1:]], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_everything_that_is_read_at_run_time_is_in_it(wheel: Path) -> None:
    """Every file of the three packages that git has, and no other."""
    listed = subprocess.run(
        ["git", "ls-files", "runtime", "local_models", "cloud"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == set(listed.stdout.split())


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_it_works_without_the_checkout(wheel: Path, version: str, tmp_path: Path) -> None:
    """Installed by pip into an empty environment: both programs, the engine's locks, and a server that answers."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "PYTHONPATH")}
    found = subprocess.run(["sh", FINDER, version, version], capture_output=True, text=True, check=False, env=env)
    if found.returncode != 0:
        pytest.skip(f"there is no Python {version} here")
    subprocess.run([found.stdout.strip(), "-m", "venv", tmp_path / "venv"], check=True)
    programs = tmp_path / "venv" / "bin"
    pip = [str(programs / "python"), "-m", "pip", "install", "--quiet", str(wheel)]
    installed = subprocess.run(pip, capture_output=True, text=True, check=False, env=env)
    assert installed.returncode == 0, installed.stderr
    env |= {"HEARTH_STATE_DIR": str(tmp_path / "state"), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def said(*command: str) -> str:
        shown = subprocess.run(
            [programs / command[0], *command[1:]], cwd=tmp_path, capture_output=True, text=True, check=True, env=env
        )
        return shown.stdout

    assert said("hearth", "--version") == said("hearth-runtime", "--version")
    assert json.loads(said("hearth-runtime", "engine", "list", "--json")) == []
    assert "smollm2-135m" in said("hearth", "models", "list")
    at, port = free_port(), free_port()
    stub = [sys.executable, "-m", "scripts.bench.stub", "--port", str(at)]
    serving = env | {"HEARTH_SERVER__PORT": str(port), "HEARTH_ENGINE__URL": json.dumps([f"http://127.0.0.1:{at}/v1"])}
    with (
        Running(stub, tmp_path / "stub.log"),
        Running([str(programs / "hearth-runtime"), "serve"], tmp_path / "log", serving, tmp_path),
    ):

        def page() -> bytes | None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=10) as reply:
                    content: bytes = reply.read()
                    return content
            except OSError:
                return None

        assert json.loads(until(page))["status"] == "live"
