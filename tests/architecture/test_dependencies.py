"""The project imports the dependencies it declares and no others, and every lock holds them by hash."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.architecture import house
from tests.architecture.source import parse, read

PROJECT = tomllib.loads((house.ROOT / "pyproject.toml").read_text())
LOCKS = sorted(
    path for folder in ("scripts", "local_models/installer") for path in (house.ROOT / folder / "locks").glob("*.txt")
)

# Distributions whose import has another name.
IMPORTED_AS = {
    "backports-zstd": "backports",
    "huggingface-hub": "huggingface_hub",
    "nvidia-ml-py": "pynvml",
    "pyyaml": "yaml",
    "prometheus-client": "prometheus_client",
    "google-genai": "google",
    "opentelemetry-proto": "opentelemetry",
    "opentelemetry-sdk": "opentelemetry",
    "opentelemetry-exporter-otlp-proto-common": "opentelemetry",
    "google-ai-generativelanguage": "google",
}

# In the standard library of a later Python than the oldest that is supported.
LATER_STDLIB = {"compression"}

# Declared although nothing imports it by name: uvicorn picks up its loop.
UNSEEN = {"uvloop"}

# Imported although the core does not declare them: they live in the engine's environment.
ENGINE_ONLY = {"torch", "vllm", "transformers", "gguf", "accelerate"}
# Used where somebody has installed them.
OPTIONAL = {"presidio_analyzer", "spacy"}


def names(requirements: Iterable[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9_.-]", requirement)[0].lower() for requirement in requirements}


def modules_of(requirements: Iterable[str]) -> set[str]:
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names(requirements)}


# Programs of their own, run in environments of their own (scripts/clients.py).
APART = "tests.clients.programs"


def imported(*packages: str) -> set[str]:
    """The foreign top-level modules that the packages import."""
    ours = [module for module in parse(read(house.ROOT, packages)) if not module.name.startswith(APART)]
    tops = {each.names[0].split(".")[0] for module in ours for each in module.imports}
    return tops - set(sys.stdlib_module_names) - LATER_STDLIB - {*house.PRODUCT, "scripts", "tests", "<computed>", ""}


def test_every_declared_dependency_is_used() -> None:
    """Nothing is installed without need."""
    declared = modules_of(PROJECT["project"]["dependencies"])
    assert declared - UNSEEN - imported(*house.PRODUCT) == set()


def test_every_import_is_declared() -> None:
    """Nothing works only because another package happens to bring it."""
    declared = modules_of(PROJECT["project"]["dependencies"])
    assert imported(*house.PRODUCT) - declared - ENGINE_ONLY - OPTIONAL == set()


def test_every_import_of_the_tests_is_declared() -> None:
    """The tests run on what the dev lock installs."""
    declared = modules_of([*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]])
    assert imported("tests") - declared - ENGINE_ONLY == set()


@pytest.mark.parametrize("lock", LOCKS, ids=[lock.stem for lock in LOCKS])
def test_every_pin_has_a_hash(lock: Path) -> None:
    """A lock without a hash locks nothing."""
    text = re.sub(r"\\\n\s*", "", lock.read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines
    assert [line[:60] for line in lines if "==" not in line or "--hash=sha256:" not in line] == []


def test_dev_has_the_pins_of_core() -> None:
    """The tests run on the versions that users get, and one `.venv` can be both."""
    core, dev = ((house.ROOT / "scripts" / "locks" / f"{name}.txt").read_text() for name in ("core", "dev"))
    pins = [
        {line.split(" ")[0] for line in text.splitlines() if re.match(r"[a-z0-9].*==", line)} for text in (core, dev)
    ]
    assert pins[0] - pins[1] == set()


@pytest.mark.parametrize("lock", ["core", "dev"])
def test_the_locks_hold_what_is_declared(lock: str) -> None:
    """A dependency added without `make lock` is noticed here and not on somebody's machine."""
    pinned = names((house.ROOT / "scripts" / "locks" / f"{lock}.txt").read_text().splitlines())
    groups = PROJECT["dependency-groups"]
    wanted = names([*PROJECT["project"]["dependencies"], *groups["build"], *(groups["dev"] if lock == "dev" else [])])
    assert wanted - pinned == set()
