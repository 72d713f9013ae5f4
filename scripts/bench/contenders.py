"""Who is measured: Hearth, the least a Python gateway can do, and other gateways as they are shipped.

Each of the others lives in an environment of its own in the user's cache, made here from scripts/locks/bench-NAME.txt.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local_models.installer.install import engine_python
from local_models.installer.kinds import ENGINES
from scripts import apart
from scripts.bench.processes import free_port
from scripts.bench.stub import MODEL

HEARTH = "hearth"
HEARTH_AGAIN = "hearth again"  # the same program beside itself: how far apart noise puts two equal ones
DIRECT = "direct"
REFERENCE = "uvicorn + aiohttp"
VLLM_ROUTER = "vllm-router"
SGLANG_ROUTER = "sglang-router"
LITELLM = "litellm"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contender listens, whom it asks, and a folder it may write in."""

    port: int
    upstream: str  # without /v1
    folder: Path


@dataclass(frozen=True, slots=True)
class Start:
    """How a process is begun. model: the name to ask it for."""

    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    model: str = MODEL


def hearth(place: Place) -> Start:
    """Defaults, all metering and records on, attached to the upstream."""
    settings = place.folder / "hearth.toml"
    settings.write_text("")
    env = {
        "HEARTH_STATE_DIR": str(place.folder / "state"),
        "HEARTH_SERVER__PORT": str(place.port),
        "HEARTH_ENGINE__URL": json.dumps([place.upstream + "/v1"]),
    }
    return Start((sys.executable, "-m", "runtime.cli", "serve", "--config", str(settings)), env, "auto")


def reference(place: Place) -> Start:
    ours = (sys.executable, "-m", "scripts.bench.reference")
    return Start((*ours, "--port", str(place.port), "--upstream", place.upstream))


def vllm_router(place: Place) -> Start:
    program = environment("bench-vllm-router") / "bin" / "vllm-router"
    return Start((str(program), *_router_options(place)))


def sglang_router(place: Place) -> Start:
    program = environment("bench-sglang-router") / "bin" / "sglang-router"
    return Start((str(program), "launch", *_router_options(place)))


def _router_options(place: Place) -> tuple[str, ...]:
    address = ("--host", "127.0.0.1", "--port", str(place.port), "--prometheus-port", str(free_port()))
    return ("--worker-urls", place.upstream, *address)


def litellm(place: Place) -> Start:
    params = {"model": f"openai/{MODEL}", "api_base": place.upstream + "/v1", "api_key": "none"}
    config = place.folder / "litellm.json"  # JSON is YAML
    config.write_text(json.dumps({"model_list": [{"model_name": MODEL, "litellm_params": params}]}))
    program = environment("bench-litellm") / "bin" / "litellm"
    options = ("--config", str(config), "--host", "127.0.0.1", "--port", str(place.port), "--telemetry", "False")
    return Start((str(program), *options), {"LITELLM_LOCAL_MODEL_COST_MAP": "True"})


CONTENDERS: Mapping[str, Callable[[Place], Start]] = {
    HEARTH: hearth,
    HEARTH_AGAIN: hearth,
    REFERENCE: reference,
    VLLM_ROUTER: vllm_router,
    SGLANG_ROUTER: sglang_router,
    LITELLM: litellm,
}


def environment(name: str) -> Path:
    """The environment of the lock of that name. Their wheels are there for the engine's Python."""
    return apart.python_environment(name, engine_python(ENGINES["cpu"]))
