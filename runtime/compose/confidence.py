"""The confidence maps in the state folder: one file per model and revision, written by `hearth calibrate`, read live."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from local_models.weights.revision import revision_of
from runtime.contract.targets import LOCAL
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


def models_of(settings: Settings, env: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The model and the revision of each local target: "local", and local/NAME of every [models.NAME]."""
    others = {f"{LOCAL}/{name}": each.model for name, each in settings.models.items()}
    own = settings.engine.model, revision_served(settings, env)
    return {LOCAL: own, **{name: (model, revision_of(model, env)) for name, model in others.items()}}


def read_maps(settings: Settings, env: Mapping[str, str], state: Path) -> dict[str, ConfidenceMap]:
    """The map of each local target that has one that can be read."""
    maps = {}
    for name, (model, revision) in models_of(settings, env).items():
        with contextlib.suppress(OSError, msgspec.DecodeError):
            raw = map_file(state, model, revision).read_bytes()
            found = msgspec.json.decode(raw, type=ConfidenceMap)
            sizes = {len(part) for part in (found.center, found.scale, found.weights)}
            if found.version == 1 and sizes == {len(FEATURES)} and len(found.scores) == len(found.shares) > 0:
                maps[name] = found
    return maps


def write_map(found: ConfidenceMap, state: Path) -> Path:
    """Writes a map, whole or not at all. Raises OSError."""
    file = map_file(state, found.model, found.revision)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_file(file, msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    return file


def without_map(settings: Settings, env: Mapping[str, str]) -> list[str]:
    """A sentence for each local model for which `confidence` has no force, because it was never calibrated.

    Of those beside the engine's own, the ones that `auto` gives a task that is looked at.
    """
    if not settings.escalation.confidence:
        return []
    maps, models = read_maps(settings, env, state_dir(env)), models_of(settings, env)
    names = [LOCAL, *(f"{LOCAL}/{name}" for name, each in settings.models.items() if {*each.tasks} - {"extraction"})]
    return [
        f"escalation.confidence has no force until {models[name][0]} is calibrated: hearth calibrate --confidence FILE"
        f"{f' --model {name}' if name != LOCAL else ''} (with the runtime running)"
        for name in names
        if name not in maps
    ]
