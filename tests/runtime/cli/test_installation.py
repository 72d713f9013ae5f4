"""`hearth doctor` knows how it was installed, and how that is upgraded."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from runtime.cli import installation as module
from runtime.cli.installation import installation


class Package:
    """The records of an installed package."""

    def __init__(self, **files: str) -> None:
        self.files = files

    def read_text(self, name: str) -> str | None:
        return self.files.get(name.removesuffix(".json"))


def installed(monkeypatch: pytest.MonkeyPatch, package: Package | None) -> None:
    def find(name: str) -> Package:
        if package is None:
            raise PackageNotFoundError(name)
        return package

    monkeypatch.setattr(module, "distribution", find)


def test_an_environment_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program that installed it, and pip of the same environment to upgrade it."""
    installed(monkeypatch, Package(INSTALLER="pip\n"))
    found = installation({}, tmp_path)
    assert (found.way, found.upgrade) == ("pip", f"{tmp_path}/bin/python -m pip install --upgrade hearth-runtime")


@pytest.mark.parametrize(
    ("file", "way", "upgrade"),
    [
        ("uv-receipt.toml", "uv tool", "uv tool upgrade hearth-runtime"),
        ("pipx_metadata.json", "pipx", "pipx upgrade hearth-runtime"),
    ],
)
def test_tools_that_keep_an_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, way: str, upgrade: str
) -> None:
    """They leave a file of their own in it."""
    installed(monkeypatch, Package(INSTALLER="uv"))
    (tmp_path / file).touch()
    found = installation({}, tmp_path)
    assert (found.way, found.upgrade) == (way, upgrade)


def test_uvx_keeps_its_environments_in_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known by their place."""
    installed(monkeypatch, Package(INSTALLER="uv"))
    assert installation({}, tmp_path / "archive-v0" / "abc").way == "uvx"


def test_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Editable, or not installed at all."""
    origin = {"url": "file:///src/hearth", "dir_info": {"editable": True}}
    installed(monkeypatch, Package(direct_url=json.dumps(origin)))
    assert (installation({}).way, installation({}).where) == ("checkout", "/src/hearth")
    installed(monkeypatch, None)
    assert installation({}).way == "a checkout on the import path"


def test_a_container_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image's own variable beats the way it was built."""
    installed(monkeypatch, Package(INSTALLER="pip"))
    assert installation({"HEARTH_IMAGE": "core"}, tmp_path).way == "container image (core)"
