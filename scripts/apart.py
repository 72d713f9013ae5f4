"""Environments beside Hearth's own, in the user's cache: one for each lock that must not mix with others.

For Python one per scripts/locks/NAME.txt; for JavaScript one per folder with a package.json and its lock. Each is named by
its lock's digest, made once for all checkouts, and never taken for whole when it was left unfinished. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from local_models.installer import progress
from local_models.installer.install import PIP_INSTALL, UnfitBoxError, make_venv, only_one
from local_models.installer.places import complete
from local_models.weights.cache import cache_home
from scripts import environments
from scripts.install import LOCKS

NPM_INSTALL = ("ci", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund", "--loglevel=error")
_PACKAGE_FILES = ("package.json", "package-lock.json")


def python_environment(name: str, python: str = sys.executable) -> Path:
    """The environment of the lock of that name. Raises UnfitBoxError, progress.StepFailedError."""
    lock, folder = LOCKS / f"{name}.txt", python_folder(name)
    with made_once(folder) as missing:
        if missing:
            make_venv(python, folder)
            locked = [str(folder / "bin" / "python"), *PIP_INSTALL, "--no-deps", "--require-hashes", "-r", str(lock)]
            progress.run(f"{name} (into {folder})", locked, folder / "install.log", sys.stderr)
    return folder


def python_folder(name: str) -> Path:
    """The place of that environment, made or not."""
    return _folder(name, (LOCKS / f"{name}.txt").read_bytes())


def node_environment(name: str, source: Path) -> Path:
    """What `source`/package-lock.json pins, installed; no package's own scripts are run.

    Raises UnfitBoxError where there is no npm, progress.StepFailedError.
    """
    folder = _folder(name, *((source / file).read_bytes() for file in _PACKAGE_FILES))
    with made_once(folder) as missing:
        if missing:
            folder.mkdir(parents=True)
            for file in _PACKAGE_FILES:
                shutil.copy(source / file, folder / file)
            command = [npm(), *NPM_INSTALL, "--prefix", str(folder)]
            progress.run(f"{name} (into {folder})", command, folder / "install.log", sys.stderr)
    return folder


def npm() -> str:
    found = shutil.which("npm")
    if found is None:
        raise UnfitBoxError("npm is missing. On Debian or Ubuntu: sudo apt install npm")
    return found


def _folder(name: str, *lock: bytes) -> Path:
    cache = cache_home(os.environ)
    return cache / f"{name}-{environments.digest(*lock)[:12]}"


@contextlib.contextmanager
def made_once(folder: Path) -> Iterator[bool]:
    """Whether it is to be made, with what was left unfinished removed; complete once the block ends well."""
    if complete(folder):
        yield False
        return
    with only_one(folder.with_name(f"{folder.name}.lock")):
        missing = not complete(folder)
        if missing:
            shutil.rmtree(folder, ignore_errors=True)
        yield missing
        if missing:
            (folder / "complete").write_text(f"{folder.name}\n")
