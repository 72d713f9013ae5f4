"""The way Hearth was installed here, and the command that upgrades it. Reads the installed package's own records."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from runtime import __version__
from runtime.settings.environment import IMAGE

PACKAGE = "hearth-runtime"


class Installation(NamedTuple):
    """way: "container", "checkout", "uvx", "uv tool", "pipx", or the program that installed it. upgrade: a command."""

    way: str
    where: str
    upgrade: str

    def __str__(self) -> str:
        return f"{PACKAGE} {__version__}, {self.way}, {self.where}"


def installation(env: Mapping[str, str], prefix: Path | None = None) -> Installation:
    """The installation that this process runs from. prefix: the interpreter's environment, sys.prefix by default."""
    prefix = prefix or Path(sys.prefix)
    if image := env.get(IMAGE):
        return Installation(
            f"container image ({image})", str(prefix), "pull the new image and start it on the same volumes"
        )
    try:
        found = distribution(PACKAGE)
    except PackageNotFoundError:
        return Installation("a checkout on the import path", str(Path(__file__).parents[2]), "git pull")
    if folder := _editable(found):
        return Installation("checkout", folder, "git pull && make install")
    if (prefix / "uv-receipt.toml").is_file():
        return Installation("uv tool", str(prefix), f"uv tool upgrade {PACKAGE}")
    if (prefix / "pipx_metadata.json").is_file():
        return Installation("pipx", str(prefix), f"pipx upgrade {PACKAGE}")
    if "archive-v0" in prefix.parts:  # the environments that uvx keeps in uv's cache
        return Installation("uvx", str(prefix), f"uvx {PACKAGE}@latest")
    program = (found.read_text("INSTALLER") or "unknown").strip()
    return Installation(program, str(prefix), f"{prefix}/bin/python -m pip install --upgrade {PACKAGE}")


def _editable(found: Distribution) -> str | None:
    """The checkout of an editable installation."""
    try:
        origin = json.loads(found.read_text("direct_url.json") or "{}")
    except ValueError:
        return None
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return str(origin.get("url", "")).removeprefix("file://")
