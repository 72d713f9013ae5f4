"""The number of sequences an engine decodes together (`--max-num-seqs`), from the wanted time to a first token. Pure.

A request that finds a free slot waits for the step under way and then for its own, both with a full batch, and for its prompt
to be read:

    first token = 2 x step(sequences) + reading        step(n) = fixed + n x per sequence

More sequences than keep that within the target make every first token late before anything waits in vLLM's queue, where it
could be seen. Fewer cost tokens per second and make requests wait for a slot. So the number is lowered only where measured
speeds demand it, and never raised: the memory that `hearth models fit` counts is that of the default. vLLM takes the number
at its start alone; the speeds are those of earlier runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runtime.contract.engine import EngineSpeed

# vLLM's defaults (256, 1024 on large GPUs) let latency go bad before anything waits.
DEFAULT: Mapping[str, int] = {"cuda": 128, "cpu": 16}

_ENOUGH = 3  # measurements
_LEAST = 4  # of the default: the part that is left even if the target cannot be kept, for then no number keeps it
_BELIEVED = (
    8  # of the default: the part that the measured batches must have had. A line is not drawn on from two points near 1
)


def sequences(device: str, speeds: Sequence[EngineSpeed], ttft_s: float) -> int:
    """The default of the device ("cuda", "cpu"), or fewer where the fastest of enough measured speeds needs it to be in time.

    The fastest, because other work on the machine makes an engine slower and nothing makes it faster.
    """
    most = DEFAULT[device]
    known = [each for each in speeds if each.batch * _BELIEVED >= most]
    if len(known) < _ENOUGH:
        return most
    speed = min(known, key=lambda each: each.step_s(most))
    if 2 * speed.step_s(most) + speed.read_s <= ttft_s:
        return most
    in_time = ((ttft_s - speed.read_s) / 2 - speed.fixed_s) / speed.per_sequence_s if speed.per_sequence_s else 0.0
    return int(max(most // _LEAST, min(most, in_time)))
