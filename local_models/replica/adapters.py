"""LoRA adapters of an engine: what a folder holds, and vLLM's two calls that load and unload one while it serves.

vLLM keeps an adapter under its name until it is unloaded; requests that run on it end on it. It loads from folders: what
must come from a hub is fetched before.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_models.replica.canary import Probing
from runtime.contract.failures import HopError

CONFIG = "adapter_config.json"
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # values that vLLM takes for --max-lora-rank
_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin", "adapter_model.pt")
_MOST_CONFIG = 1 << 20
_LOAD_S = 120.0  # it is read from the disk and copied to the device


def unusable(folder: Path, most_rank: int) -> str:
    """Why the adapter in a folder cannot be loaded, by its files; "" if it can. most_rank: of the engine. Blocking."""
    try:
        with (folder / CONFIG).open("rb") as file:
            config = json.loads(file.read(_MOST_CONFIG))
        ranks = [config["r"], *(config.get("rank_pattern") or {}).values()]
        rank = max(ranks)
    except FileNotFoundError:
        return f"{folder} has no {CONFIG}: it is no adapter"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"{folder / CONFIG} cannot be read: {type(error).__name__}: {error}"
    if not any((folder / name).is_file() for name in _WEIGHTS):
        return f"{folder} has no {_WEIGHTS[0]}"
    if not isinstance(rank, int) or rank > most_rank:
        return f"its rank is {rank}, and the engine takes {most_rank} at most: raise max_lora_rank"
    return ""


async def load(hop: Probing, name: str, folder: str) -> str:
    """Loads an adapter into a running engine: "" when it is loaded, else the engine's words."""
    return await _asked(hop, "/v1/load_lora_adapter", lora_name=name, lora_path=folder)


async def unload(hop: Probing, name: str) -> str:
    """Unloads an adapter: "" when it is gone, else the engine's words."""
    return await _asked(hop, "/v1/unload_lora_adapter", lora_name=name)


async def _asked(hop: Probing, path: str, **members: str) -> str:
    try:
        status, body = await hop.probe(path, _LOAD_S, method="POST", body=json.dumps(members).encode())
    except HopError as error:
        return error.failure.message
    if status == 200:
        return ""
    words = body[:500].decode("utf-8", "replace")
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):  # no error body in the OpenAI shape
        words = str(json.loads(body)["error"]["message"])[:500]
    return f"the engine answered {status}: {words}"


def adapters_in(body: bytes, most: int = 1000) -> dict[str, str]:
    """The adapters in a reply of /v1/models, each with the model it belongs to; none if it is not a list of models.

    most: names that are kept.
    """
    try:
        entries: list[Mapping[str, Any]] = json.loads(body)["data"][:most]
        return {
            entry["id"]: entry["parent"]
            for entry in entries
            if isinstance(entry["id"], str) and isinstance(entry.get("parent"), str) and entry["parent"]
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
