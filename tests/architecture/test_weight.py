"""The cost of starting: the runtime loads no heavy library, and the command line answers at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import house

# The gate on `--help`. CPU time of the child, best of several: other work on the machine only ever lengthens a run.
HELP_CPU_S = 0.3
TRIES = 7

LOADED = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize("module", ["runtime", "runtime.cli", "local_models", "cloud"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    """Neither torch nor vLLM nor transformers is loaded before an engine needs them, wherever they are installed."""
    answer = subprocess.run(
        [sys.executable, "-c", LOADED, module], cwd=house.ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert set(json.loads(answer.stdout)).isdisjoint(house.HEAVY)


def test_help_answers_at_once() -> None:
    """`hearth --help` costs under 0.3 s of CPU time, interpreter start included."""
    hearth = Path(sys.executable).with_name("hearth")
    assert hearth.exists(), "the project is not installed beside this interpreter: make dev"
    spent = min(cpu_seconds([str(hearth), "--help"]) for _ in range(TRIES))
    assert spent < HELP_CPU_S


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one child."""
    child = subprocess.Popen(command, cwd=house.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"{command} exited {child.returncode}"
    return usage.ru_utime + usage.ru_stime
