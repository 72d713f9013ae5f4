"""Engine processes found by the marker in their environment, whoever is their parent now, and the end of the orphans.

Every process of an engine inherits HEARTH_ENGINE from its start: which Hearth owns it (state folder, pid, start time,
pid namespace), for which replica, in which run. Only an engine whose owner is dead, or an ended run of this process, is
ever killed: two Hearths on one box do not hurt each other. Reads /proc (Linux); a process whose environment may not be
read is left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from local_models.host import procfs
from local_models.host.threads import in_daemon_thread

VARIABLE = "HEARTH_ENGINE"
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Owner:
    """One Hearth process. start: clock ticks from boot to its start, as /proc has it; with the pid it is never given
    twice.
    """

    state_dir: str
    pid: int
    start: int
    namespace: str


@dataclass(frozen=True, slots=True)
class Marker:
    owner: Owner
    replica: str
    run: int

    def environ(self) -> dict[str, str]:
        """The child's variables. SPT_NOENV keeps setproctitle, which vLLM uses, from writing its title over the
        environment.
        """
        return {VARIABLE: json.dumps(asdict(self), separators=(",", ":")), "SPT_NOENV": "1"}


@dataclass(frozen=True, slots=True)
class Marked:
    pid: int
    marker: Marker


def this_process(state_dir: Path) -> Owner:
    pid = os.getpid()
    start = procfs.start_of(pid)
    assert start is not None
    return Owner(str(state_dir.resolve()), pid, start, procfs.pid_namespace())


def marker_of(pid: int) -> Marker | None:
    """The marker in a process's environment; None if there is none, or it may not be read."""
    value = procfs.variable(pid, VARIABLE)
    return None if value is None else _parse(value)


def _parse(value: str) -> Marker | None:
    try:
        raw = json.loads(value)
        owner = raw["owner"]
        return Marker(
            Owner(str(owner["state_dir"]), int(owner["pid"]), int(owner["start"]), str(owner["namespace"])),
            str(raw["replica"]),
            int(raw["run"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def marked() -> Iterator[Marked]:
    """Every living process with a marker, this one excepted."""
    for pid in procfs.pids():
        if pid != os.getpid() and (marker := marker_of(pid)) is not None:
            yield Marked(pid, marker)


def owner_is_dead(owner: Owner, namespace: str) -> bool:
    """True if the engine's owner has ended. An owner in another pid namespace cannot be seen and counts as alive."""
    return owner.namespace == namespace and procfs.start_of(owner.pid) != owner.start


def of_dead_owners(me: Owner) -> Callable[[Marker], bool]:
    """Condemns what no living Hearth owns."""
    return lambda marker: owner_is_dead(marker.owner, me.namespace)


def of_ended_run(mine: Marker) -> Callable[[Marker], bool]:
    """Condemns our own replica's processes up to this run."""
    return lambda it: (it.owner, it.replica) == (mine.owner, mine.replica) and it.run <= mine.run


@dataclass(frozen=True, slots=True)
class Swept:
    """killed: every process that was sent KILL; left: those still there when the time was over."""

    killed: tuple[Marked, ...]
    left: tuple[int, ...]


async def sweep(condemned: Callable[[Marker], bool], deadline_s: float) -> Swept:
    """Kills every marked process that is condemned, also those forked meanwhile, and waits until none is left."""
    killed: dict[int, Marked] = {}
    found: list[Marked] = []

    def strike() -> list[Marked]:
        """One look at /proc, in a thread: reading it blocks on a process whose memory the kernel holds locked."""
        condemned_now = [process for process in marked() if condemned(process.marker)]
        killed.update({process.pid: process for process in condemned_now if _kill(process, condemned)})
        return condemned_now

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(deadline_s):
            while found := await in_daemon_thread(strike, "sweep"):  # noqa: ASYNC110 - /proc sends no events
                await asyncio.sleep(_POLL_S)
    return Swept(tuple(killed.values()), tuple(process.pid for process in found))


def _kill(process: Marked, condemned: Callable[[Marker], bool]) -> bool:
    """Through a pidfd, the marker read again behind it: a pid given to another process meanwhile is not hit."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        marker = marker_of(process.pid)
        if marker is None or not condemned(marker):
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            return True
        return False
    finally:
        os.close(descriptor)
