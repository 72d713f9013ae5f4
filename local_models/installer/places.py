"""The engine environments in the user's cache: where each one is, and whether it is whole. Installs nothing.

CACHE/engine-DEVICE-KEY/            one environment; KEY is the digest of the lock it was made from
CACHE/engine-DEVICE-KEY/complete    written last: "DEVICE LOCK PYTHON"
CACHE/engine-DEVICE-KEY.downloads/  what an interrupted installation has fetched so far
CACHE/engine-DEVICE-KEY.lock        held while one process makes or removes it
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local_models.installer.kinds import ENGINES

LOCKS = Path(__file__).resolve().parent / "locks"


@dataclass(frozen=True, slots=True)
class EngineEnvironment:
    """current: made from the lock of this version of Hearth. complete: installed to the end."""

    folder: Path
    device: str
    current: bool
    complete: bool

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def lock(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.lock")

    def size(self) -> int:
        """Bytes on the disk. Reads the whole folder: seconds for a cold one."""
        paths = (Path(at, name) for at, _, names in os.walk(self.folder) for name in names)
        return sum(path.lstat().st_blocks * 512 for path in paths)

    def remove(self) -> None:
        """Deletes the environment. The marker goes first, so that half of one is never taken for whole."""
        (self.folder / "complete").unlink(missing_ok=True)
        shutil.rmtree(self.folder)
        self.lock.unlink(missing_ok=True)


def lock_file(device: str) -> Path:
    """The locked packages of this version's engine for the device."""
    return LOCKS / f"engine-{device}.txt"


def engine_folder(cache: Path, device: str, lock: bytes) -> Path:
    """The environment's place. Its name depends on the lock alone: all installations of one version share it."""
    return cache / f"engine-{device}-{hashlib.sha256(lock).hexdigest()[:12]}"


def current(cache: Path, device: str) -> EngineEnvironment:
    """The environment that this version's lock makes, made or not."""
    folder = engine_folder(cache, device, lock_file(device).read_bytes())
    return EngineEnvironment(folder, device, True, complete(folder))


def environments(cache: Path) -> Iterator[EngineEnvironment]:
    """Every environment in the cache, half-made ones too: this version's first, then the newest."""
    found = []
    for device in ENGINES:
        ours = current(cache, device).folder
        names = {path.name for path in cache.glob(f"engine-{device}-*") if path.is_dir()}
        found += [
            EngineEnvironment(cache / name, device, cache / name == ours, complete(cache / name)) for name in names
        ]

    def age(each: EngineEnvironment) -> tuple[bool, float, str]:
        marker = each.folder / "complete"
        return not each.current, -marker.stat().st_mtime if each.complete else 0.0, each.folder.name

    yield from sorted(found, key=age)


def pinned(lock: str) -> list[str]:
    """The requirements of a lock file in its order, each with its hashes, on one line."""
    lines = lock.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def complete(folder: Path) -> bool:
    """True if the environment was installed to its end: the marker is written last."""
    return (folder / "complete").is_file()
