"""Where the environments live, what they are made of, and whether one is complete. Pure but for reading files.

Two kinds, kept apart: the core's `.venv` beside the checkout, and the engine's in the user's cache, shared by all
checkouts.
Knows nothing of pip, processes or output. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class EngineKind:
    """One way to run vLLM.

    least, most: Python versions its lock serves. disk: bytes it needs while it is installed, downloads included.
    late_index: a package index to add where the configured ones do not have the right torch; "" for none.
    cpu_flag: what /proc/cpuinfo must show. library: a system library that no wheel brings, and Debian's package of it.
    vLLM only warns without them, and fails later with something else.
    """

    device: str
    least: str
    most: str
    disk: int
    late_index: str = ""
    cpu_flag: str = ""
    library: tuple[str, str] | None = None


ENGINES: Mapping[str, EngineKind] = {
    "cpu": EngineKind(
        "cpu",
        "3.11",
        "3.11",
        6 * GIB,
        late_index="https://download.pytorch.org/whl/cpu",
        cpu_flag="avx2",
        library=("libnuma.so.1", "libnuma1"),
    ),
    "cuda": EngineKind("cuda", "3.11", "3.13", 20 * GIB),
}


@dataclass(frozen=True, slots=True)
class Box:
    """What an installation finds. system, machine: as `platform` says them. free: bytes where the engine will live."""

    system: str
    machine: str
    cpu_flags: frozenset[str]
    libraries: frozenset[str]
    free: int


def obstacles(kind: EngineKind, box: Box, cache: Path) -> list[str]:
    """What would fail after gigabytes of downloads, each with what to do."""
    if (box.system, box.machine) != ("Linux", "x86_64"):
        return [f"vLLM is installed on Linux x86-64 only; this is {box.system} on {box.machine}. {_ELSEWHERE}"]
    found = []
    if kind.cpu_flag and kind.cpu_flag not in box.cpu_flags:
        found.append(f"vLLM needs a processor with {kind.cpu_flag.upper()}; this one has none. {_ELSEWHERE}")
    if kind.library and kind.library[0] not in box.libraries:
        found.append(f"vLLM needs {kind.library[0]}. On Debian or Ubuntu: sudo apt install {kind.library[1]}")
    if box.free < kind.disk:
        found.append(
            f"The {kind.device} engine needs {kind.disk / GIB:.0f} GiB free in {cache}; there are {box.free / GIB:.1f}. "
            "Free some, or set XDG_CACHE_HOME to a folder on a larger disk."
        )
    return found


def digest(*parts: bytes) -> str:
    """Hex SHA-256 over the parts, each with its length, so that moving bytes from one to the next changes it."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


_ELSEWHERE = "Hearth can use a vLLM that runs elsewhere: [engine] url in hearth.toml, and make run ENGINE=none."


def fits(version: tuple[int, int], kind: EngineKind) -> bool:
    """Whether a Python of this version serves the engine's lock."""
    least, most = (tuple(int(part) for part in word.split(".")) for word in (kind.least, kind.most))
    return least <= version <= most


@dataclass(frozen=True, slots=True)
class Listing:
    """What `nvidia-smi -L` answered. status: its exit code."""

    status: int
    text: str


def fitting_device(listing: Listing | None) -> str | None:
    """The engine that fits this box, None where that cannot be told: a GPU that does not answer is not passed over in silence.

    listing: None where there is no nvidia-smi, and so no NVIDIA driver.
    """
    if listing is None:
        return "cpu"
    if listing.status != 0:
        return None
    return "cuda" if any(line.startswith("GPU ") for line in listing.text.splitlines()) else "cpu"


def cache_home(env: Mapping[str, str], home: Path) -> Path:
    """Hearth's folder in the user's cache. A relative XDG_CACHE_HOME is ignored, as its specification asks."""
    configured = Path(env.get("XDG_CACHE_HOME", ""))
    return (configured if configured.is_absolute() else home / ".cache") / "hearth"


def engine_folder(cache: Path, device: str, lock: bytes) -> Path:
    """Where the engine environment made from this lock file lives. local_models.replica.environment looks in the same place."""
    return cache / f"engine-{device}-{hashlib.sha256(lock).hexdigest()[:12]}"


def older_engines(cache: Path, current: Path) -> list[Path]:
    """Engine environments of the same device that other locks made. Another checkout may still use them."""
    device = current.name.split("-")[1]
    return sorted(path for path in cache.glob(f"engine-{device}-*") if path.is_dir() and path != current)


def complete(folder: Path) -> bool:
    """Whether the environment was finished: the marker is written last."""
    return (folder / "complete").is_file()


def installed_part(pyproject: str) -> bytes:
    """What of pyproject.toml an installation depends on; lint and test settings change nothing."""
    whole = tomllib.loads(pyproject)
    hatch = whole.get("tool", {}).get("hatch", {})
    return json.dumps([whole.get("build-system"), whole.get("project"), hatch], sort_keys=True).encode()


def stamps(text: str) -> dict[str, str]:
    """What a `.venv` was made from: lines of "SET DIGEST"."""
    return dict(line.split(maxsplit=1) for line in text.splitlines() if len(line.split()) == 2)


def with_stamp(text: str, name: str, value: str) -> str:
    """The stamp file's next content."""
    return "".join(f"{key} {each}\n" for key, each in {**stamps(text), name: value}.items())
