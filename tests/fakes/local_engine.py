"""A real `LocalEngine` over fake vLLM processes: what it starts is `tests.fakes.fake_vllm` with a script."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from local_models.engine import LocalEngine
from local_models.host.gpu import GpuProbe, GpuReader, NoGpu
from local_models.replica.owned import ReplicaPlace, StartPlan
from local_models.replica.prepared import Notice, PreparedModel
from local_models.replica.supervisor import Watch
from local_models.wire.hop import EngineHop
from runtime.contract.engine import EngineSpec
from runtime.contract.targets import Capabilities
from tests.fakes.guard import GUARD

MODEL = "fake-llama"
ROOT = Path(__file__).resolve().parents[2]
QUICK = Watch(hang_after=0.4, canary=0.4, patience=3.0, idle=None, scrape=0.2, scrape_timeout=1.0)

Script = Mapping[str, Any] | Callable[[int], Mapping[str, Any]]
"""What every start does, or what start number n (from 1) does."""


async def have_weights(model: str, notice: Notice) -> PreparedModel:
    return PreparedModel(Path("/nowhere"), model, capabilities=Capabilities(completions=True))


class FakePlan:
    """Counts starts and writes the command line of the fake. gpus: what it is said to run on."""

    def __init__(self, script: Script, gpus: tuple[int, ...] = ()) -> None:
        self._script = script
        self._gpus = gpus
        self.starts = 0

    async def __call__(self, model: PreparedModel, place: ReplicaPlace, extra: Mapping[str, str]) -> StartPlan:
        self.starts += 1
        script = self._script(self.starts) if callable(self._script) else self._script
        argv = (sys.executable, "-m", "tests.fakes.fake_vllm", "--uds", str(place.socket), "--model", model.name)
        env = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **extra}
        return StartPlan((*argv, "--script", json.dumps(dict(script))), env, self._gpus, "fake", "nothing")


def fake_spec(state_dir: Path, **wishes: Any) -> EngineSpec:
    return EngineSpec(**{"model": MODEL, "state_dir": state_dir, "start_timeout_s": 30.0, **wishes})


def fake_engine(
    state_dir: Path,
    script: Script | None = None,
    *,
    watch: Watch = QUICK,
    plan: FakePlan | None = None,
    clock: Callable[[], float] = time.monotonic,
    prepare: Callable[[str, Notice], Awaitable[PreparedModel]] = have_weights,
    probe: GpuProbe | None = None,
    **wishes: Any,
) -> LocalEngine:
    """wishes: members of EngineSpec."""
    return LocalEngine(
        fake_spec(state_dir, **wishes),
        prepare=prepare,
        plan=plan or FakePlan(script or {}),
        gpus=GpuReader(probe or NoGpu()),
        clock=clock,
        watch=watch,
        guard=GUARD,
    )


async def fake_state(hop: EngineHop) -> dict[str, Any]:
    """What the fake behind a lane says of itself."""
    _, body = await hop.probe("/_fake/state", 5.0)
    state: dict[str, Any] = json.loads(body)
    return state


async def change_script(hop: EngineHop, **members: Any) -> None:
    status, body = await hop.probe("/_fake/script", 5.0, method="POST", body=json.dumps(members).encode())
    assert status == 200, body
