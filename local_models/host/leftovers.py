"""The engine processes that a dead Hearth left behind: ended before anything starts, with their GPU memory given back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from local_models.host import orphans
from local_models.host.gpu import GpuReader

_SWEEP_S = 15.0
_MEMORY_LOOK_S = 1.0


async def end_leftovers(
    me: orphans.Owner,
    gpus: GpuReader,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    notice: Callable[[str], None],
) -> None:
    """me: this process, whose own engines are left alone. clock: monotonic seconds; sleep its companion."""
    swept = await orphans.sweep(orphans.of_dead_owners(me), _SWEEP_S)
    if swept.killed:
        owners = sorted({process.marker.owner.pid for process in swept.killed})
        notice(f"ended {len(swept.killed)} engine process(es) that a dead Hearth (pid {owners}) had left")
        # The driver is late in giving back their memory: wait until no GPU's use falls any more.
        until = clock() + _SWEEP_S
        used = [gpu.memory_used for gpu in await gpus.read()]
        while used and clock() < until:
            await sleep(_MEMORY_LOOK_S)
            before, used = used, [gpu.memory_used for gpu in await gpus.read()]
            if sum(used) >= sum(before):
                break
    if swept.left:
        notice(f"engine processes {list(swept.left)} of a dead Hearth do not end; they may hold GPU memory")
