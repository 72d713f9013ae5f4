"""Processes as /proc shows them: start, state, processor time, session, environment. Linux. Changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_DEAD = frozenset("ZX")
_COMPILER_NAMES = (
    "as c++ cc cc1 cc1plus cicc clang clang++ collect2 cudafe++ g++ gcc ld ld.lld lld ninja nvcc nvlink ptxas"
)
_COMPILERS = frozenset(_COMPILER_NAMES.split())


@dataclass(frozen=True, slots=True)
class Stat:
    """name: of the program, cut to 15 characters. state: one letter. start: clock ticks from boot.

    cpu_s: user and system time in seconds; ended_s: that of its children that have ended, and of theirs.
    """

    pid: int
    name: str
    state: str
    session: int
    cpu_s: float
    ended_s: float
    start: int

    @property
    def alive(self) -> bool:
        """Neither gone nor a zombie nobody has reaped."""
        return self.state not in _DEAD


def stat(pid: int) -> Stat | None:
    """None for a process that is gone."""
    try:
        head, _, rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")
    except OSError:
        return None
    fields, ticks = rest.split(), os.sysconf("SC_CLK_TCK")
    own, ended = (sum(map(int, fields[first : first + 2])) / ticks for first in (11, 13))
    return Stat(pid, head.partition("(")[2], fields[0], int(fields[3]), own, ended, int(fields[19]))


def pids() -> Iterator[int]:
    """Every process there is just now."""
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def start_of(pid: int) -> int | None:
    """Start of a living process in clock ticks from boot; with the pid it is never given twice. None for a dead one."""
    found = stat(pid)
    return found.start if found is not None and found.alive else None


def variable(pid: int, name: str) -> str | None:
    """A variable of the environment a process was started with; None if it is unset or may not be read."""
    prefix = f"{name}=".encode()
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    found = next((entry for entry in entries if entry.startswith(prefix)), None)
    return None if found is None else found[len(prefix) :].decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Work:
    """Processor seconds of a session's workers. compiling_s: the part of compilers, and of children that have ended."""

    cpu_s: float
    compiling_s: float


def work_of(session: int) -> Work | None:
    """The work of a session's processes without its leader, or of the leader where it is alone; None: all are gone.

    vLLM's leader is its HTTP front, which is busy with probes even while the engine core is stopped; its ended children
    count all the same. Kernels are compiled in children that end.
    """
    members = [found for pid in pids() if (found := stat(pid)) is not None and found.session == session]
    if not members:
        return None
    workers = [member for member in members if member.pid != session] or members
    ended = sum(member.ended_s for member in members)
    compilers = sum(worker.cpu_s for worker in workers if worker.name in _COMPILERS)
    return Work(sum(worker.cpu_s for worker in workers) + ended, compilers + ended)


def memory(meminfo: Path = Path("/proc/meminfo")) -> tuple[int, int]:
    """(all, used) bytes of this machine's memory; caches that the kernel gives back on demand are not used."""
    fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    total, free = (int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    return total, total - free


def pid_namespace() -> str:
    return str(Path("/proc/self/ns/pid").readlink())
