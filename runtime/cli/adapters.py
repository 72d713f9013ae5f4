"""`hearth models adapters`, `load-adapter`, `unload-adapter`: the LoRA adapters of a running runtime."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import typer

from runtime.cli.client import asked, runtime_of
from runtime.cli.loading import Json, Save, Url
from runtime.cli.settings_file import ConfigOption
from runtime.contract.adapters import AdapterView
from runtime.contract.targets import LOCAL
from runtime.settings.environment import environment

_PATH = "/hearth/adapters"
Adapter = Annotated[str, typer.Argument(metavar="NAME", help="Name of the adapter: requests name it as local/NAME.")]

Model = Annotated[str, typer.Option("--model", help="The model it adapts: local, or NAME of a [models.NAME].")]


class _Listed(msgspec.Struct):
    data: list[AdapterView] = []


def adapters(url: Url = None, config: ConfigOption = None, as_json: Json = False) -> None:
    """List the LoRA adapters of a running Hearth.

    \b
    Examples:
      hearth models adapters
    """
    _asked("GET", "", None, url, config, as_json=as_json)


def load_adapter(
    name: Adapter,
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Its files, on the runtime's machine.")],
    model: Model = LOCAL,
    url: Url = None,
    config: ConfigOption = None,
    save: Save = False,
    as_json: Json = False,
) -> None:
    """Load a LoRA adapter of a local model on a running Hearth. The model must have been started for adapters (max_loras).

    \b
    Examples:
      hearth models load-adapter legal ./legal-lora
    """
    wish = {"folder": folder, "model": model, "save": save}
    _asked("POST", f"/{name}/load", wish, url, config, as_json=as_json)


def unload_adapter(
    name: Adapter, url: Url = None, config: ConfigOption = None, save: Save = False, as_json: Json = False
) -> None:
    """Unload a LoRA adapter. Requests that run on it end on it.

    \b
    Examples:
      hearth models unload-adapter legal
    """
    _asked("POST", f"/{name}/unload", {"save": save}, url, config, as_json=as_json)


def _asked(method: str, path: str, body: Any, url: str | None, config: Any, *, as_json: bool) -> None:
    found = asked(runtime_of(url, config, environment()), method, f"{_PATH}{path}", _Listed, body).data
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(found), ensure_ascii=False))
        return
    for each in found:
        state = "ready" if each.ready else f"not loaded: {each.cause}" if each.cause else "waits for its engine"
        typer.echo(f"{LOCAL}/{each.name}  of {each.target}  {state}" + (f"  {each.folder}" if each.folder else ""))
    if not found:
        typer.echo("no adapters")
