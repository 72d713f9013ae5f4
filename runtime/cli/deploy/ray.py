"""The Ray Serve application of the engine's model: its configuration, and the commands that put it on a cluster. Pure.

As Ray 2.60 reads it. Direct streaming, because the default ingress has neither vLLM's own paths nor its context length; no
batcher, which holds the first token back for 50 ms; the external scaler, so that the number of replicas can follow the
predicted time to a first token.
"""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

APPLICATION = "hearth"
PORT = 8000
METRICS_PORT = 9100
DIRECT = "RAY_SERVE_ENABLE_HA_PROXY=1 RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING=1"


@dataclass(frozen=True, slots=True)
class RayWish:
    """model: the name that clients use; source: a hub id or a folder that every node has. args: vLLM's command line.

    gpus: of one replica, 0 for a CPU. longest: the context window in tokens, None for the model's own.
    """

    model: str
    source: str
    args: tuple[str, ...] = ()
    gpus: int = 1
    longest: int | None = None
    memory: float = 0.9
    replicas: int = 2
    most: int = 2


def application(wish: RayWish) -> dict[str, Any]:
    """The configuration of `serve deploy`."""
    kwargs: dict[str, Any] = engine_kwargs(wish.args)
    if wish.longest is not None:
        kwargs["max_model_len"] = wish.longest
    if wish.gpus:
        kwargs.setdefault("gpu_memory_utilization", wish.memory)
    model: dict[str, Any] = {
        "model_loading_config": {"model_id": wish.model, "model_source": wish.source},
        "engine_kwargs": kwargs,
        "experimental_configs": {"stream_batching_interval_ms": 0},
        "deployment_config": {"num_replicas": wish.replicas},
    }
    if not wish.gpus:
        model["accelerator_config"] = {"kind": "cpu"}
    return {
        "http_options": {"host": "0.0.0.0", "port": PORT},
        "applications": [
            {
                "name": APPLICATION,
                "route_prefix": "/",
                "import_path": "ray.serve.llm:build_openai_app",
                "external_scaler_enabled": True,
                "args": {"llm_configs": [model]},
            }
        ],
    }


def engine_kwargs(args: Sequence[str]) -> dict[str, Any]:
    """vLLM's command line as keyword arguments. Raises ValueError for a word that is no option's."""
    found: dict[str, Any] = {}
    name = ""
    for word in args:
        if word.startswith("--"):
            flag, equals, value = word[2:].partition("=")
            name = "" if equals else flag.replace("-", "_")
            negated = name.startswith("no_")
            plain = flag.replace("-", "_") if equals else name.removeprefix("no_")
            _put(found, plain, _value(value) if equals else not negated)
        elif name:
            _put(found, name, _value(word))
            name = ""
        else:
            raise ValueError(f"{word!r} in [engine] args belongs to no option that is written with two dashes")
    return found


def _put(found: dict[str, Any], name: str, value: Any) -> None:
    """A value by its option. `--a.b 1` is the member b of a."""
    *outer, last = name.split(".")
    for each in outer:
        inner = found.get(each)
        inner = inner if isinstance(inner, dict) else {}
        found[each] = inner
        found = inner
    found[last] = value


def _value(word: str) -> Any:
    if word[:1] in ("{", "["):  # the members that vLLM's command line takes as JSON
        with contextlib.suppress(ValueError):
            return json.loads(word)
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def commands(file: str) -> tuple[str, ...]:
    """For the first machine, for each other one, and for the application."""
    metrics = f"--metrics-export-port={METRICS_PORT}"
    return (
        f"{DIRECT} ray start --head --node-ip-address=HEAD {metrics}",
        f"{DIRECT} ray start --address=HEAD:6379 {metrics}",
        f"serve deploy -a http://HEAD:8265 {shlex.quote(file)}",
    )


def attached(wish: RayWish) -> Mapping[str, Any]:
    """The members of `[engine]` that attach to it."""
    metrics = [f"http://HEAD:{METRICS_PORT}/metrics"]
    return {"kind": "pool", "url": [f"http://HEAD:{PORT}/v1"], "model": wish.model, "metrics": metrics}
