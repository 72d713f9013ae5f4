"""The confidence maps in the state folder: one file per model and revision, written by `hearth calibrate`, read live."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from local_models.weights.revision import revision_of
from runtime.routing.confidence import FEATURES, ConfidenceMap
from runtime.settings import Settings
from runtime.settings.environment import state_dir
from runtime.whole_file import replace_file

_FOLDER = "confidence"


def maps_folder(state: Path) -> Path:
    """The folder of the maps below the state folder."""
    return state / _FOLDER


def map_file(state: Path, model: str, revision: str) -> Path:
    """The file of a model's map. Names that differ in their signs alone have different files."""
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", model).strip("-.")[:64]
    key = hashlib.sha256(f"{model}\n{revision}".encode()).hexdigest()[:12]
    return maps_folder(state) / f"{plain}-{key}.json"


def revision_served(settings: Settings, env: Mapping[str, str]) -> str:
    """The revision of the engine's model; "" where it is not known: of somebody else's server, or before the first start."""
    return "" if settings.engine.url else revision_of(settings.engine.model, env)


def read_map(settings: Settings, env: Mapping[str, str], state: Path) -> ConfidenceMap | None:
    """The map of the engine's model; None without one that can be read."""
    model = settings.engine.model
    with contextlib.suppress(OSError, msgspec.DecodeError):
        raw = map_file(state, model, revision_served(settings, env)).read_bytes()
        found = msgspec.json.decode(raw, type=ConfidenceMap)
        sizes = {len(part) for part in (found.center, found.scale, found.weights)}
        if found.version == 1 and sizes == {len(FEATURES)} and len(found.scores) == len(found.shares) > 0:
            return found
    return None


def write_map(found: ConfidenceMap, state: Path) -> Path:
    """Writes a map, whole or not at all. Raises OSError."""
    file = map_file(state, found.model, found.revision)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_file(file, msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    return file


def without_map(settings: Settings, env: Mapping[str, str]) -> list[str]:
    """The sentence for a `confidence` that has no force, because the engine's model was never calibrated."""
    if not settings.escalation.confidence or read_map(settings, env, state_dir(env)) is not None:
        return []
    model = settings.engine.model
    return [
        f"escalation.confidence has no force until {model} is calibrated: hearth calibrate --confidence FILE "
        "(with the runtime running)"
    ]
