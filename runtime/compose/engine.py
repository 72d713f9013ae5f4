"""The engine as the settings want it, and the environment it must not inherit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runtime.contract.engine import EngineSpec, EngineSpeed
from runtime.settings import Settings
from runtime.settings.accounts import secrets


def engine_spec(settings: Settings, folder: Path, speeds: tuple[EngineSpeed, ...] = ()) -> EngineSpec:
    """folder: the state folder, where its socket and marker live. speeds: of earlier runs."""
    wanted = settings.engine
    length = wanted.max_model_len
    return EngineSpec(
        model=wanted.model,
        state_dir=folder,
        device=wanted.device,
        replicas=wanted.replicas,
        max_model_len=length if isinstance(length, int) else None,
        gpu_memory_utilization=wanted.gpu_memory_utilization,
        args=wanted.args,
        urls=wanted.url,
        pool=wanted.kind == "pool",
        metrics=wanted.metrics,
        key=wanted.key.value if wanted.key is not None else None,
        certified=frozenset(wanted.certified),
        python=wanted.python,
        offline=wanted.offline,
        start_timeout_s=wanted.start_timeout,
        hang_after_s=wanted.hang_after,
        canary_s=wanted.canary_timeout,
        drain_s=wanted.drain,
        backoff_first_s=wanted.backoff_first,
        backoff_most_s=wanted.backoff_most,
        give_up_after=wanted.give_up_after,
        ttft_s=settings.escalation.ttft_ms / 1000,
        speeds=speeds,
    )


def second_usd(settings: Settings, gpus: int) -> float | None:
    """Dollars that a busy second of one replica costs; None if the settings do not say. gpus: that all replicas use.

    Rent includes the electricity. The watts are the whole box's. Of a pool nobody here knows how many replicas it has.
    """
    engine = settings.engine
    if engine.kind == "pool":
        return None
    replicas = len(engine.url) or engine.replicas
    if engine.gpu_hour_usd is not None:
        return engine.gpu_hour_usd * max(1.0, gpus / replicas) / 3600
    if engine.watts is not None and engine.kwh_usd is not None:
        return engine.watts / 1000 * engine.kwh_usd / 3600 / replicas
    return None


def secret_names(settings: Settings, env: Mapping[str, str]) -> frozenset[str]:
    """Variables that hold keys of this process: no engine inherits them."""
    values = {key.value for _, key in secrets(settings)}
    return frozenset(name for name, value in env.items() if value and value in values)
