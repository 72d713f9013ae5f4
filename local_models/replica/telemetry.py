"""Reads vLLM's /metrics: the few gauges and counters the runtime uses, summed over engine cores and labels.

Pure. Knows names and the Prometheus text format as vLLM 0.32 writes it, and judges no value. Names drift from release to
release: a missing one reads as zero, and `missing` lists it. A text with none of vLLM's names is somebody else's (a
balancer's, a web framework's) and says nothing about the engine. Ray writes the same names in its own spelling.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from runtime.contract.engine import Telemetry

WAITING = "vllm:num_requests_waiting"
RUNNING = "vllm:num_requests_running"
KV_CACHE = "vllm:kv_cache_usage_perc"
PROMPT = "vllm:prompt_tokens_total"
CACHED = "vllm:prompt_tokens_cached_total"
GENERATION = "vllm:generation_tokens_total"
PREEMPTIONS = "vllm:num_preemptions_total"
CACHE_CONFIG = "vllm:cache_config_info"

_PREFIX, _RAYS_PREFIX = "vllm:", "ray_vllm_"
NAMES = (WAITING, RUNNING, KV_CACHE, PROMPT, CACHED, GENERATION, PREEMPTIONS, CACHE_CONFIG)
_CAPACITY = re.compile(r'\b(kv_cache_size_tokens|num_gpu_blocks|block_size)="(\d+)"')


@dataclass(slots=True)
class _Sum:
    """Value and number of the series of one name."""

    value: float = 0.0
    series: int = 0


def parse(text: str, at: float) -> Telemetry | None:
    """The gauges and counters of one /metrics, or of several put together; None if no name of vLLM's is in it.

    at: when it was read, monotonic seconds. Skips what it cannot read, never raises.
    """
    sums, capacity = _read(text)
    if not sums and _RAYS_PREFIX in text:
        sums, capacity = _read(text.replace(_RAYS_PREFIX, _PREFIX))
    if sums.keys().isdisjoint(NAMES):
        return None
    usage = sums.get(KV_CACHE, _Sum())
    return Telemetry(
        at=at,
        waiting=_count(sums, WAITING),
        running=_count(sums, RUNNING),
        kv_cache=usage.value / usage.series if usage.series else 0.0,
        prompt_tokens=_count(sums, PROMPT),
        cached_prompt_tokens=_count(sums, CACHED),
        generation_tokens=_count(sums, GENERATION),
        preemptions=_count(sums, PREEMPTIONS),
        kv_tokens=capacity,
    )


def missing(text: str) -> tuple[str, ...]:
    """The names of NAMES that are not in this /metrics, in their order."""
    sums, capacity = _read(text)
    return tuple(name for name in NAMES if (capacity is None if name == CACHE_CONFIG else name not in sums))


def _count(sums: dict[str, _Sum], name: str) -> int:
    found = sums.get(name)
    return round(found.value) if found is not None else 0


def _read(text: str) -> tuple[dict[str, _Sum], int | None]:
    """Sums by name, and the KV cache's size in tokens if it is known."""
    text = f"\n{text}"
    sums: dict[str, _Sum] = {}
    for name in NAMES:
        for _, value in _samples(text, name):
            try:
                number = float(value)
            except ValueError:
                continue
            if math.isfinite(number):
                found = sums.setdefault(name, _Sum())
                found.value += number
                found.series += 1
    capacity = 0
    for labels, _ in _samples(text, CACHE_CONFIG):  # vLLM's own figure, else blocks x block size
        facts = {key: int(digits) for key, digits in _CAPACITY.findall(labels)}
        capacity += facts.get("kv_cache_size_tokens") or facts.get("num_gpu_blocks", 0) * facts.get("block_size", 0)
    return sums, capacity or None


def _samples(text: str, name: str) -> Iterator[tuple[str, str]]:
    """(labels, value) of each line `name{labels} value [timestamp]`; the text begins with a line end.

    Searched, not split: eight lines matter out of some 700.
    """
    start = text.find(f"\n{name}")
    while start >= 0:
        after = start + 1 + len(name)
        end = text.find("\n", after)
        line = text[after : end if end >= 0 else len(text)]
        labels, _, values = line.rpartition("}")
        if line[:1] in ("{", " ", "\t") and values.split():
            yield labels, values.split()[0]
        start = text.find(f"\n{name}", after)
