"""Models on this machine's disk: their folders, the bytes they take, the processes that use them, and their removal.

A built-in model lies in Hearth's own cache; one of the hub in the hub's, which other programs share. Folders of the user's
own are nobody's to remove. Looks at /proc: Linux.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from local_models.facts.catalogue import Catalogue, catalogue
from local_models.host.procfs import pids
from local_models.weights import hub, weights
from local_models.weights.cache import cache_home
from local_models.weights.errors import InUseError, NotHereError, WeightsError

_HUB_FOLDER = "models--"
_GOING = ".hearth-removing-"  # a folder on its way out; what a process that died left behind goes with the next removal


@dataclass(frozen=True, slots=True)
class KeptModel:
    """A model's files. folder: all of them, unfinished downloads included. whole: the folder to serve, None if unfinished."""

    name: str
    folder: Path
    whole: Path | None

    def size(self) -> int:
        """Bytes of all files, each once; links lead to files that are counted where they lie."""
        seen: dict[tuple[int, int], int] = {}
        for place, _, names in os.walk(self.folder):
            for name in names:
                with contextlib.suppress(OSError):
                    found = os.lstat(os.path.join(place, name))  # noqa: PTH118 - a hub's cache may have 100,000 files
                    seen[found.st_dev, found.st_ino] = found.st_size if stat.S_ISREG(found.st_mode) else 0
        return sum(seen.values())


def kept(name: str, environ: Mapping[str, str], known: Catalogue | None = None) -> KeptModel | None:
    """The model of that name, if any of its files are here. Raises WeightsError for a name that is none, and for a folder."""
    source = weights.resolve(name, known)
    match source:
        case weights.Builtin():
            shelf = weights.shelf(source, cache_home(environ))
            found = KeptModel(source.entry.name, shelf.folder, shelf.folder if shelf.whole() else None)
        case weights.Hub():
            folder = hub.cache_folder(environ) / f"{_HUB_FOLDER}{source.repo.replace('/', '--')}"
            found = KeptModel(source.name, folder, hub.cached(source.repo, environ))
        case weights.Folder():
            raise WeightsError(
                f"{source.path} is a folder of your own", "Hearth removes only what it fetched: rm -r it"
            )
    return found if found.folder.is_dir() else None


def every(environ: Mapping[str, str]) -> list[KeptModel]:
    """Every model that is here: those of the catalogue in its order, then the hub's others by name."""
    names = [entry.name for entry in catalogue().entries]
    repos = {entry.hub for entry in catalogue().entries}
    with contextlib.suppress(OSError):
        folders = sorted(each.name for each in hub.cache_folder(environ).iterdir() if each.name.startswith(_HUB_FOLDER))
        found = [each.removeprefix(_HUB_FOLDER).replace("--", "/", 1) for each in folders]
        names += [repo for repo in found if "/" in repo and repo not in repos]
    models: list[KeptModel] = []
    for name in names:
        with contextlib.suppress(WeightsError):
            models += [model for model in (kept(name, environ),) if model]
    return models


def users(folder: Path) -> list[int]:
    """Processes that use a file below the folder: it is open, or named on the command line (an engine's model)."""
    within = (str(folder), str(folder.resolve()))
    return sorted(pid for pid in pids() if pid != os.getpid() and any(_below(path, within) for path in _paths_of(pid)))


def _below(path: str, within: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder}{os.sep}") for folder in within)


def _paths_of(pid: int) -> Iterator[str]:
    """A process's arguments, the values of `--name=value` apart, and its open files; none of a process of somebody else's."""
    with contextlib.suppress(OSError):
        for argument in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            text = os.fsdecode(argument)
            yield from (text, text.partition("=")[2])
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(link.readlink())


def remove(model: KeptModel) -> None:
    """Removes a model's files: in one step out of sight, so that an interrupted removal leaves no half of it.

    Raises InUseError, NotHereError, WeightsError.
    """
    if using := users(model.folder):
        raise InUseError(
            f"{model.name} is in use by process {', '.join(map(str, using))}",
            "stop it first: hearth status names engines",
        )
    going = model.folder.with_name(f"{_GOING}{model.folder.name}-{os.getpid()}")
    try:
        model.folder.rename(going)
        for left in model.folder.parent.glob(f"{_GOING}*"):
            shutil.rmtree(left)
        shutil.rmtree(model.folder.parent / ".locks" / model.folder.name, ignore_errors=True)  # the hub's own
    except FileNotFoundError as error:
        raise NotHereError(f"{model.name} is not on this disk", "hearth models list shows what is") from error
    except OSError as error:
        raise WeightsError(
            f"{model.folder} cannot be removed: {error.strerror or error}", "check who may write to its folder"
        ) from error
