"""The ways to run vLLM that can be installed, and what each needs of a machine. Pure: no pip, no processes, no output."""

from __future__ import annotations

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
class Machine:
    """What an installation finds. system, name: as `platform` reports them. free: bytes where the engine will live."""

    system: str
    name: str
    cpu_flags: frozenset[str]
    libraries: frozenset[str]
    free: int


_ELSEWHERE = (
    "Hearth can use a vLLM that runs elsewhere: [engine] url in hearth.toml (in a checkout: make run ENGINE=none)."
)


def obstacles(kind: EngineKind, machine: Machine, cache: Path) -> list[str]:
    """Everything that would fail after gigabytes of downloads, each with what to do."""
    if (machine.system, machine.name) != ("Linux", "x86_64"):
        return [f"vLLM is installed on Linux x86-64 only; this is {machine.system} on {machine.name}. {_ELSEWHERE}"]
    found = []
    if kind.cpu_flag and kind.cpu_flag not in machine.cpu_flags:
        found.append(f"vLLM needs a processor with {kind.cpu_flag.upper()}; this one has none. {_ELSEWHERE}")
    if kind.library and kind.library[0] not in machine.libraries:
        found.append(f"vLLM needs {kind.library[0]}. On Debian or Ubuntu: sudo apt install {kind.library[1]}")
    if machine.free < kind.disk:
        found.append(
            f"The {kind.device} engine needs {kind.disk / GIB:.0f} GiB free in {cache}; there are "
            f"{machine.free / GIB:.1f}. Free some, or set XDG_CACHE_HOME to a folder on a larger disk."
        )
    return found


def fits(version: tuple[int, int], kind: EngineKind) -> bool:
    """True if a Python of this version serves the engine's lock."""
    least, most = (tuple(int(part) for part in word.split(".")) for word in (kind.least, kind.most))
    return least <= version <= most


@dataclass(frozen=True, slots=True)
class Listing:
    """The answer of `nvidia-smi -L`. status: its exit code."""

    status: int
    text: str


def fitting_device(listing: Listing | None) -> str | None:
    """The engine that fits this machine; None where that is unknown, because a GPU that does not answer is not ignored.

    listing: None where there is no nvidia-smi, and so no NVIDIA driver.
    """
    if listing is None:
        return "cpu"
    if listing.status != 0:
        return None
    return "cuda" if any(line.startswith("GPU ") for line in listing.text.splitlines()) else "cpu"
