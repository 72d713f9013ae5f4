"""The folder of converted weights: which models in it are whole, and how one process at a time adds to it.

    HOME/models/NAME-KEY/           a whole model; `hearth.json` lists its files with their sizes
    HOME/models/.NAME-KEY.lock      held while one process makes it
    HOME/models/.NAME-KEY.making/   what that process is making; left over only by one that died

Knows nothing of downloads or of model formats. Several processes may share one folder.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

_MANIFEST = "hearth.json"
_POLL_S = 0.2  # a file lock cannot be awaited


def cache_home(environ: Mapping[str, str]) -> Path:
    """The folder for files that Hearth can fetch again: `$XDG_CACHE_HOME/hearth`, or `~/.cache/hearth`.

    A relative XDG_CACHE_HOME is ignored, as its specification asks.
    """
    base = Path(environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():
        return base / "hearth"
    return Path(environ.get("HOME") or Path.home()) / ".cache" / "hearth"


@dataclass(frozen=True, slots=True)
class Shelf:
    """One model's place in the cache.

    key: names exactly what is kept (source and converter), so that another is never taken for it.
    """

    home: Path
    name: str
    key: str

    @property
    def folder(self) -> Path:
        return self.home / "models" / f"{self.name}-{self.key}"

    @property
    def making(self) -> Path:
        return self.home / "models" / f".{self.name}-{self.key}.making"

    def whole(self) -> bool:
        """True if the model is there with every file at its full size."""
        try:
            sizes = json.loads((self.folder / _MANIFEST).read_text())["files"]
            return all((self.folder / name).stat().st_size == size for name, size in sizes.items())
        except (OSError, ValueError, KeyError, AttributeError):
            return False

    def publish(self, made: Path, facts: Mapping[str, str]) -> None:
        """Makes `made` the kept folder in one step: whoever looks sees nothing or a whole model."""
        files = {path.name: path.stat().st_size for path in sorted(made.iterdir())}
        (made / _MANIFEST).write_text(json.dumps({**facts, "files": files}, indent=1) + "\n")
        for path in made.iterdir():
            path.chmod(0o644)
            _to_disk(path)
        if self.folder.exists():
            shutil.rmtree(self.folder)
        made.rename(self.folder)
        _to_disk(self.folder.parent)

    @asynccontextmanager
    async def locked(self, waiting: Callable[[], None]) -> AsyncIterator[None]:
        """Held by one process at a time; `waiting` is called once where another holds it. The dead hold nothing."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with (self.folder.parent / f".{self.name}-{self.key}.lock").open("w") as file:
            told = False
            while True:
                try:
                    fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not told:
                        waiting()
                        told = True
                await asyncio.sleep(_POLL_S)
            yield

    def clear_desk(self) -> Path:
        """An empty `making` folder. Only under the lock: what a dead process left is removed."""
        shutil.rmtree(self.making, ignore_errors=True)
        self.making.mkdir()
        return self.making

    def leave_desk(self) -> None:
        shutil.rmtree(self.making, ignore_errors=True)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
