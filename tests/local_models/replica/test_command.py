"""The engine's command line and environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local_models.replica.command import (
    EngineArgsError,
    EngineLaunch,
    build,
    cuda_names,
    equal_gpus,
    gpus_per_replica,
    group_gpus,
    slots,
)
from local_models.replica.environment import Found, find_python
from local_models.replica.prepared import PreparedModel
from local_models.weights.cache import cache_home
from runtime.contract.engine import Gpu
from runtime.contract.targets import Capabilities

MODEL = PreparedModel(
    Path("/models/m"), "llama-3.2-1b", args=("--enable-auto-tool-choice", "--tool-call-parser", "hermes")
)


def launch(device: str = "cpu", **changed: Any) -> EngineLaunch:
    fields: dict[str, Any] = {"model": MODEL, "gpus": ("0",) if device == "cuda" else ()}
    return EngineLaunch(Path("/opt/e/bin/python"), device, socket=Path("/run/h/e.sock"), **(fields | changed))


def option(argv: tuple[str, ...], name: str) -> str:
    """The value that counts: the last."""
    return argv[len(argv) - argv[::-1].index(name)]


def gpus(count: int) -> tuple[Gpu, ...]:
    return tuple(Gpu(i, "g", 1, 0, 0.0, 0.0) for i in range(count))


def test_cpu() -> None:
    """Eager, float32, a short context, the module that the CPU wheel has."""
    command = build(launch(), {"PATH": "/usr/bin"})
    assert command.argv == (
        *("/opt/e/bin/python", "-m", "vllm.entrypoints.openai.api_server", "--model", "/models/m"),
        *("--uds", "/run/h/e.sock", "--served-model-name", "llama-3.2-1b", "--max-num-seqs", "16"),
        *("--disable-uvicorn-access-log", "--enable-prompt-tokens-details", "--scheduling-policy", "priority"),
        *("--enable-prefix-caching",),
        *("--enforce-eager", "--dtype", "float32", "--max-model-len", "2048"),
        *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
    )
    assert command.env == {
        "PATH": "/opt/e/bin:/usr/bin",
        "VLLM_CPU_KVCACHE_SPACE": "2",
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "120",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }


def test_cuda() -> None:
    """The GPUs of its group, counted as NVML counts; the longest context that fits."""
    command = build(launch("cuda", gpus=("2", "3"), gpu_memory_utilization=0.85), {})
    assert command.argv[:5] == ("/opt/e/bin/python", "-m", "vllm.entrypoints.cli.main", "serve", "/models/m")
    assert option(command.argv, "--gpu-memory-utilization") == "0.85"
    assert option(command.argv, "--max-model-len") == "auto"
    assert "--enforce-eager" not in command.argv
    assert command.env["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert command.env["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert "VLLM_CPU_KVCACHE_SPACE" not in command.env


@pytest.mark.parametrize(
    ("device", "asked", "own", "length"),
    [("cpu", None, 512, "512"), ("cpu", None, 8192, "2048"), ("cpu", 4096, 8192, "4096"), ("cuda", 4096, None, "4096")],
)
def test_context(device: str, asked: int | None, own: int | None, length: str) -> None:
    """What is asked for; else, on a CPU, 2048 or the model's own smaller one."""
    model = PreparedModel(Path("/m"), "m", max_model_len=asked, capabilities=Capabilities(context_tokens=own))
    assert option(build(launch(device, model=model), {}).argv, "--max-model-len") == length


def test_the_users_arguments_come_last() -> None:
    """So they win."""
    command = build(launch(args=("--max-num-seqs", "2", "--tool-call-parser=json")), {})
    assert command.argv[-3:] == ("--max-num-seqs", "2", "--tool-call-parser=json")
    assert option(command.argv, "--max-num-seqs") == "2"


@pytest.mark.parametrize("arg", ["--uds", "--port=80", "--served_model_name", "--api-key"])
def test_arguments_that_would_take_the_engine_away_are_refused(arg: str) -> None:
    """Hearth could no longer reach or watch it."""
    with pytest.raises(EngineArgsError, match="args may not hold --"):
        build(launch(args=("--seed", "1", arg, "x")), {})


def test_an_embedding_model_caches_no_prefixes() -> None:
    """Its attention looks both ways."""
    model = PreparedModel(Path("/m"), "m", pools="embeddings")
    assert "--enable-prefix-caching" not in build(launch(model=model), {}).argv


def test_secrets_are_not_inherited() -> None:
    """Neither Hearth's keys nor the vendors'; one of them would even lock us out of the engine."""
    inherited = {
        "HEARTH_API_KEY": "a",
        "HEARTH_TARGETS__CLAUDE__KEY": "b",
        "ANTHROPIC_API_KEY": "c",
        "VLLM_API_KEY": "d",
        "MY_SECRET": "e",
        "PYTHONHOME": "/usr",
        "HF_HOME": "/hf",
        "LD_LIBRARY_PATH": "/cuda",
    }
    env = build(launch(secrets=frozenset({"MY_SECRET"})), inherited).env
    assert not set(env.values()) & set("abcde")
    assert "PYTHONHOME" not in env
    assert (env["HF_HOME"], env["LD_LIBRARY_PATH"]) == ("/hf", "/cuda")


def test_engines_that_share_a_cpu_do_not_bind_to_the_same_cores() -> None:
    """Each has its part of the threads, and the system places them; what the user set holds."""
    env = build(launch(threads=2), {"VLLM_CPU_OMP_THREADS_BIND": "0-1"}).env
    assert (env["VLLM_CPU_OMP_THREADS_BIND"], env["OMP_NUM_THREADS"]) == ("0-1", "2")
    assert build(launch(threads=2), {}).env["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"


def test_the_users_kv_space_and_the_marker_stand() -> None:
    """What the user set for the CPU engine holds; the marker is over all else."""
    env = build(launch(environ={"MARK": "1"}), {"VLLM_CPU_KVCACHE_SPACE": "8", "MARK": "0"}).env
    assert (env["VLLM_CPU_KVCACHE_SPACE"], env["MARK"]) == ("8", "1")


def test_offline_means_offline() -> None:
    """No hub look-ups, in vLLM nor in transformers."""
    assert build(launch(offline=True), {}).env["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in build(launch(), {}).env


def box_of(*gib: int, names: tuple[str, ...] = ()) -> tuple[Gpu, ...]:
    """GPUs of so many GiB, with these names for CUDA."""
    return tuple(Gpu(i, "g", size << 30, 0, 0.0, 0.0, *names[i : i + 1]) for i, size in enumerate(gib))


def numbers(groups: tuple[tuple[Gpu, ...], ...]) -> list[list[int]]:
    return [[gpu.index for gpu in group] for group in groups]


def test_one_group_of_gpus_per_replica() -> None:
    """Neighbours together; too few is an error that says what to do."""
    assert numbers(group_gpus(gpus(4), 2, 2)) == [[0, 1], [2, 3]]
    assert numbers(group_gpus(gpus(4), 1, 1)) == [[0]]
    with pytest.raises(EngineArgsError, match="need 8, and 4 can be used"):
        group_gpus(gpus(4), 2, 4)
    with pytest.raises(EngineArgsError, match="CUDA_VISIBLE_DEVICES"):
        group_gpus((), 1, 1)


def test_groups_are_of_equal_gpus_the_largest_first() -> None:
    """An 80 GB GPU beside a 4 GB one: one engine runs on the large one, and no model is split over both."""
    assert numbers(group_gpus(box_of(4, 80), 1, 1)) == [[1]]
    assert numbers(group_gpus(box_of(24, 80, 24, 80, 24, 24), 2, 2)) == [[1, 3], [0, 2]]
    assert [len(kind) for kind in equal_gpus(box_of(24, 80, 23, 80))] == [2, 2]
    with pytest.raises(
        EngineArgsError, match=r"need 2 of equal memory, and 2 can be used: GPU 0 \(4 GiB\), GPU 1 \(80 GiB\)"
    ):
        group_gpus(box_of(4, 80), 1, 2)


def test_a_size_the_user_fixed_may_take_unequal_gpus() -> None:
    """Equal ones come first where there are enough."""
    assert numbers(group_gpus(box_of(24, 48), 1, 2, unequal=True)) == [[0, 1]]
    assert numbers(group_gpus(box_of(24, 48, 24), 1, 2, unequal=True)) == [[0, 2]]


def test_no_model_is_split_over_slices() -> None:
    """A process sees one MIG slice only."""
    slices = box_of(10, 10, names=("MIG-a", "MIG-b"))
    assert [cuda_names(group) for group in group_gpus(slices, 2, 1)] == [("MIG-a",), ("MIG-b",)]
    with pytest.raises(EngineArgsError):
        group_gpus(slices, 1, 2)


def test_a_number_names_the_gpu_that_was_judged() -> None:
    """CUDA counts as NVML does unless the user says otherwise."""
    assert build(launch("cuda"), {"CUDA_VISIBLE_DEVICES": "2"}).env["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert build(launch("cuda"), {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}).env["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"


@pytest.mark.parametrize(
    ("args", "count"),
    [
        ((), 1),
        (("--tensor-parallel-size", "4"), 4),
        (("--tensor_parallel_size=2", "-pp", "2"), 4),
        (("-tp", "8", "--seed", "3", "-tp", "2"), 2),
        (("-tp",), 1),
    ],
)
def test_gpus_of_a_replica(args: tuple[str, ...], count: int) -> None:
    """Tensor times pipeline parallel size, as vLLM would read them."""
    assert gpus_per_replica(args) == count


_CHECK = """
import json, sys
from vllm import envs
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
import vllm.entrypoints.cli.main, vllm.entrypoints.openai.api_server
parser = make_arg_parser(FlexibleArgumentParser())
told = [vars(parser.parse_args(argv)) for argv in json.loads(sys.argv[1])]
keys = ("uds", "served_model_name", "max_num_seqs", "max_model_len", "enable_prefix_caching", "tool_call_parser",
        "enforce_eager", "dtype", "gpu_memory_utilization", "enable_prompt_tokens_details",
        "disable_uvicorn_access_log", "enable_lora", "max_loras", "max_lora_rank", "enable_sleep_mode")
said = {"args": [{key: one[key] for key in keys} for one in told], "envs": sorted(envs.environment_variables)}
print("\\n" + json.dumps(said))
"""


@pytest.mark.engine
def test_the_installed_vllm_understands_every_argument() -> None:
    """Flags drift from release to release: vLLM's own parser reads what we build."""
    found = find_python("cpu", env=os.environ, cache=cache_home(os.environ))
    if not isinstance(found, Found):
        pytest.skip(found.reason)
    cpu = build(launch(loras=2, max_lora_rank=32), {})
    cuda = build(launch("cuda", loras=2, max_lora_rank=32, sleeps=True), {})
    lines = json.dumps([list(cpu.argv[3:]), ["--model", *cuda.argv[4:]]])
    ended = subprocess.run(
        [found.python, "-c", _CHECK, lines], capture_output=True, text=True, check=False, timeout=110
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    said = json.loads(ended.stdout.strip().splitlines()[-1])
    for one in said["args"]:
        assert one["uds"] == "/run/h/e.sock"
        assert one["served_model_name"] == ["llama-3.2-1b"]
        assert one["tool_call_parser"] == "hermes"
        assert one["enable_prefix_caching"]
        assert one["enable_prompt_tokens_details"]
        assert one["disable_uvicorn_access_log"]
        assert (one["enable_lora"], one["max_loras"], one["max_lora_rank"]) == (True, 2, 32)
    of_cpu, of_cuda = said["args"]
    assert (of_cpu["enable_sleep_mode"], of_cuda["enable_sleep_mode"]) == (False, True)
    assert (of_cpu["max_model_len"], of_cpu["enforce_eager"], of_cpu["dtype"]) == (2048, True, "float32")
    assert (of_cuda["max_model_len"], of_cuda["gpu_memory_utilization"]) == (-1, 0.9)
    assert {name for name in (*cpu.env, *cuda.env) if name.startswith("VLLM_")} <= set(said["envs"])


def test_slots_are_what_the_last_word_says() -> None:
    """The engine's own reading: the last flag counts, in either spelling."""
    assert slots(("--max-num-seqs", "16", "--max-num-seqs=2")) == 2
    assert slots(("--max-num-seqs", "16")) == 16
    assert slots(()) is None
    assert slots(("--max-num-seqs", "16", "--data-parallel-size", "2")) == 32


def test_adapters_have_their_limits_and_their_calls() -> None:
    """vLLM's own flags, before the user's; without adapters there are no calls to load them."""
    command = build(launch(loras=3, max_lora_rank=32, args=("--max-loras", "4")), {"PATH": "/usr/bin"})
    assert "--enable-lora" in command.argv and option(command.argv, "--max-lora-rank") == "32"
    assert option(command.argv, "--max-loras") == "4"
    assert command.env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    plain = build(launch(), {"PATH": "/usr/bin"})
    assert "--enable-lora" not in plain.argv and "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in plain.env


def test_sleep_is_for_gpus() -> None:
    """Its flag and vLLM's development paths, on a private socket; refused in words on a CPU."""
    command = build(launch("cuda", sleeps=True), {"PATH": "/usr/bin"})
    assert "--enable-sleep-mode" in command.argv and command.env["VLLM_SERVER_DEV_MODE"] == "1"
    assert "VLLM_SERVER_DEV_MODE" not in build(launch("cuda"), {}).env
    with pytest.raises(EngineArgsError, match="sleep_after is for engines on NVIDIA GPUs"):
        build(launch(sleeps=True), {})
