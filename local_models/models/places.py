"""Places for local models on a box, by the arithmetic of `fit`, and what is left beside the engine's own model.

Pure: GPUs, footprints and the machine's memory come in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from local_models.facts.fit import GIB, WIDTHS, Box, Footprint, Wish, judge, needed, splits
from local_models.models.life import MACHINE, GpuPlace, ModelLife
from local_models.models.planner import ModelCase, misplaced
from local_models.replica.command import CPU_CACHE_GIB, equal_gpus
from runtime.contract.engine import Gpu
from runtime.contract.models import ModelState, ModelWish

SHAREABLE = 0.95  # of a GPU, between several engines: each driver context takes memory outside any engine's count
CPU_SHAREABLE = 0.9
_USUAL_CONTEXT = 8192  # tokens of one sequence that must fit beside the weights


@dataclass(frozen=True, slots=True)
class BoxMemory:
    """The memory that models share. gpus: bytes of each, in all; one entry, the machine, on a CPU."""

    gpus: Mapping[int, int]
    cpu: bool = False

    @property
    def room(self) -> dict[int, int]:
        share = CPU_SHAREABLE if self.cpu else SHAREABLE
        return {gpu: int(size * share) for gpu, size in self.gpus.items()}


def box_memory(gpus: Sequence[Gpu], machine: int) -> BoxMemory:
    """machine: bytes of its memory, used where there is no GPU."""
    if not gpus:
        return BoxMemory({MACHINE: machine}, cpu=True)
    return BoxMemory({gpu.index: gpu.memory_total for gpu in gpus})


def places_of(wish: ModelWish, known: Footprint | None, memory: BoxMemory) -> tuple[tuple[GpuPlace, ...], str]:
    """The places a model may lie in, and why there is none. known: None where its size cannot be judged."""
    groups = [(gpu,) for gpu in memory.gpus] if wish.gpus is None or memory.cpu else [wish.gpus]
    missing = sorted({gpu for group in groups for gpu in group} - memory.gpus.keys())
    if missing:
        there = ", ".join(map(str, memory.gpus))
        return (), f"{wish.name} asks for GPU {missing[0]}, and this box has {there}"
    found: list[GpuPlace] = []
    words = ""
    for group in groups:
        each = int(min(memory.gpus[gpu] for gpu in group) * wish.share)
        lacking = (
            "" if known is None else _lacking(wish, known, Box(min(memory.gpus[gpu] for gpu in group)), memory, group)
        )
        words = words or lacking
        if not lacking:
            found.append(GpuPlace(group, each))
    return tuple(found), "" if found else words


def _lacking(wish: ModelWish, known: Footprint, box: Box, memory: BoxMemory, group: tuple[int, ...]) -> str:
    """Why a model does not fit into its share of a group of GPUs; "" if it does."""
    where = "this machine" if memory.cpu else f"GPU {', '.join(map(str, group))}"
    if len(group) not in splits(known.architecture):
        return f"{wish.name} cannot be split over {len(group)} GPUs"
    least = cpu_need(known, box.memory) if memory.cpu else gpu_need(known, box.memory, len(group))
    if least <= box.memory * wish.share:
        return ""
    better = f"; share = {-(-least * 100 // box.memory) / 100:g} would do" if least <= box.memory * SHAREABLE else ""
    return (
        f"{wish.name} needs {least / GIB:.1f} GiB, and a share of {wish.share:g} of {where} is "
        f"{box.memory * wish.share / GIB:.1f} GiB{better}"
    )


def gpu_need(known: Footprint, memory: int, gpus: int) -> int:
    """Bytes on each GPU for one sequence of the usual length."""
    context = min(_USUAL_CONTEXT, known.architecture.context)
    return needed(known, Box(memory, gpus), Wish(context, 1), gpus).total


def cpu_need(known: Footprint, memory: int) -> int:
    """Bytes of the machine: weights in float32, as engines on a CPU have them, and the cache, whose size is fixed there."""
    weights = known.weights * WIDTHS["fp32"] // WIDTHS.get(known.dtype, 2)
    one = needed(replace(known, weights=weights), Box(memory, cpu=True), Wish(1, 1), 1)
    return one.weights + one.overhead + CPU_CACHE_GIB * GIB


def engines_own(
    gpus: Sequence[Gpu],
    replicas: int,
    utilization: float,
    known: Footprint | None,
    memory: BoxMemory,
    fixed: int | None,
) -> tuple[GpuPlace, ...]:
    """The memory of the engine's own model, one place for each replica. fixed: GPUs of one replica, where arguments say so."""
    if memory.cpu:
        machine = memory.gpus[MACHINE]
        need = cpu_need(known, machine) if known is not None else int(machine * CPU_SHAREABLE / 2)
        return tuple(GpuPlace((MACHINE,), need) for _ in range(replicas))
    found: list[GpuPlace] = []
    for kind in equal_gpus(gpus):
        size = fixed or 1
        if fixed is None and known is not None:
            box = Box(min(gpu.memory_total for gpu in kind), max(1, len(kind) // replicas), utilization)
            size = judge(known, box, Wish(min(_USUAL_CONTEXT, known.architecture.context), 1)).tensor_parallel
        for start in range(0, len(kind) - size + 1, size):
            group = kind[start : start + size]
            each = int(min(gpu.memory_total for gpu in group) * utilization)
            found.append(GpuPlace(tuple(gpu.index for gpu in group), each))
    return tuple(found[:replicas])


def left_beside(memory: BoxMemory, own: Sequence[GpuPlace]) -> dict[int, int]:
    """Bytes of each GPU for more models beside the engine's own."""
    left = memory.room
    for place in own:
        for gpu in place.gpus:
            if gpu in left:
                left[gpu] = max(0, left[gpu] - place.each)
    return left


def arranged(cases: Sequence[ModelCase], room: Mapping[int, int]) -> dict[str, GpuPlace | str]:
    """The place of each model, with the `always` ones before it in theirs; or why it has none."""
    known = {case.name: case for case in cases}
    found: dict[str, GpuPlace | str] = {}
    for case in sorted(cases, key=lambda case: not case.firm):
        words = misplaced(known.values(), room, case.name)
        if words:
            found[case.name] = words
            continue
        held = [each.life.held for each in known.values() if each.firm and each.life.held is not None]
        left = {gpu: size - sum(other.each for other in held if gpu in other.gpus) for gpu, size in room.items()}
        place = next(each for each in case.places if all(left.get(gpu, 0) >= each.each for gpu in each.gpus))
        found[case.name] = place
        if case.firm:
            known[case.name] = replace(case, life=ModelLife(ModelState.READY, held=place))
    return {case.name: found[case.name] for case in cases}
