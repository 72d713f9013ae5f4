"""The engine as the settings want it, and the environment it must not inherit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from local_models import fleet as local_fleet
from local_models.engine import LocalEngine
from runtime.compose.adapters import adapters_of
from runtime.contract.engine import EngineSpec, EngineSpeed
from runtime.contract.guard import Guard
from runtime.contract.models import ModelCommand
from runtime.contract.targets import LOCAL
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
        engines=wanted.replicas + len(settings.models),
        max_model_len=length if isinstance(length, int) else None,
        gpu_memory_utilization=wanted.gpu_memory_utilization,
        args=wanted.args,
        adapters={name: folder for name, (to, folder) in adapters_of(settings).items() if to == LOCAL},
        max_loras=wanted.max_loras,
        max_lora_rank=wanted.max_lora_rank,
        sleep_after_s=wanted.sleep_after,
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


def second_usd(settings: Settings, gpus: int, replicas: int = 0) -> float | None:
    """Dollars that a busy second of one replica costs; None if the settings do not say. gpus: that all replicas use.

    replicas: of a model beside the engine's own; 0: the engine's. Rent includes the electricity. The watts are the whole box's.
    Of a pool nobody here knows how many replicas it has.
    """
    engine = settings.engine
    if engine.kind == "pool" and not replicas:
        return None
    replicas = replicas or len(engine.url) or engine.replicas
    if engine.gpu_hour_usd is not None:
        return engine.gpu_hour_usd * max(1.0, gpus / replicas) / 3600
    if engine.watts is not None and engine.kwh_usd is not None:
        return engine.watts / 1000 * engine.kwh_usd / 3600 / replicas
    return None


def secret_names(settings: Settings, env: Mapping[str, str]) -> frozenset[str]:
    """Variables that hold keys of this process: no engine inherits them."""
    values = {key.value for _, key in secrets(settings)}
    return frozenset(name for name, value in env.items() if value and value in values)


class EngineExchange:
    """Makes the engine serve the model and arguments of the settings as they are now. done: called after each exchange.

    trouble: why the latest one failed, None while the engine serves what the settings name. beside: bytes of the machine's
    memory that other models have.
    """

    beside: Callable[[], int] = staticmethod(lambda: 0)

    def __init__(
        self,
        engine: LocalEngine,
        settings: Settings,
        folder: Path,
        env: Mapping[str, str],
        guard: Guard,
        notice: Callable[[str], None],
        done: Callable[[Settings], None],
    ) -> None:
        self._engine, self._folder, self._env, self._guard = engine, folder, env, guard
        self._notice, self._done = notice, done
        self._served = self._wanted = self._file = settings
        self._asked = asyncio.Event()
        self.trouble: str | None = None

    def want(self, settings: Settings) -> None:
        """Begins an exchange where the settings name another model or other arguments than they did before."""
        engine, last = settings.engine, self._file.engine
        self._file = settings
        if (engine.model, engine.args) != (last.model, last.args):
            self._wanted = settings
            self._asked.set()

    def command(self, to: str, *, dry: bool = False) -> ModelCommand:
        """Another model with the same arguments, until the restart or until the settings name another. dry: nothing is done."""
        engine, name = self._wanted.engine, f"local/{self._engine.model}"
        words = (
            f"{to} is fetched if it is not here; then one replica after another takes no new requests, lets its running ones "
            f"end, and starts with {to} in the place of {name}; while none is up, `auto` uses the other models. If {to} does "
            f"not start, {name} comes back"
        )
        refusal = "the engine runs on servers of somebody else" if engine.url else ""
        refusal = (
            f"{self._engine.exchanging} is taking the place of {name} already" if self._engine.exchanging else refusal
        )
        refusal = f"{to} is served already" if to == engine.model and not self.trouble else refusal
        if not refusal and not dry:
            changed = self._wanted.engine.model_copy(update={"model": to})
            self._wanted = self._wanted.model_copy(update={"engine": changed})
            self._asked.set()
        return ModelCommand(words, refusal)

    async def run(self) -> None:
        """One exchange after another, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            wanted, served = self._wanted, self._served.engine
            self.trouble = None
            if (wanted.engine.model, wanted.engine.args) == (served.model, served.args):
                continue
            self._notice(
                f"[engine] names {wanted.engine.model} now: it is fetched, and takes the place of {served.model}"
            )
            cause = await local_fleet.exchange(
                self._engine,
                engine_spec(wanted, self._folder),
                environ=self._env,
                guard=self._guard,
                secrets=secret_names(wanted, self._env),
                notice=self._notice,
                beside=self.beside(),
            )
            if cause:
                self.trouble = f"{wanted.engine.model} is not served, and {served.model} is: {cause}"
                self._notice(self.trouble)
                continue
            self._served = wanted
            self._done(wanted)
            self._notice(f"{wanted.engine.model} is served now")
