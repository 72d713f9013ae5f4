"""The revision of a model's weights as they are on this machine: measurements of one revision do not hold for another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from local_models.weights import hub
from local_models.weights.cache import cache_home
from local_models.weights.errors import WeightsError
from local_models.weights.weights import Builtin, Folder, Hub, resolve, shelf

_CHARACTERS = 12


def revision_of(model: str, environ: Mapping[str, str]) -> str:
    """A short name of the revision that is here; "" where none is, or the model is not known.

    A built-in model: its wheel and converter. A hub repository: the commit. A folder: its configuration, and the names, sizes
    and times of its weights.
    """
    try:
        match resolve(model):
            case Builtin() as source:
                return shelf(source, cache_home(environ)).key
            case Hub(repo):
                snapshot = hub.cached(repo, environ)
                return snapshot.name[:_CHARACTERS] if snapshot is not None else ""
            case Folder(path):
                found = hashlib.sha256((path / "config.json").read_bytes())
                for file in sorted(path.glob("*.safetensors")):
                    state = file.stat()
                    found.update(f"{file.name} {state.st_size} {state.st_mtime_ns}\n".encode())
                return found.hexdigest()[:_CHARACTERS]
    except (WeightsError, OSError):
        return ""
