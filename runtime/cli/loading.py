"""`hearth models load`, `unload`, `swap`: commands to a running runtime."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import typer

from runtime.cli.client import Address, asked, runtime_of
from runtime.cli.exits import CommandError
from runtime.cli.settings_file import ConfigOption
from runtime.server.status import ModelStatus, StatusReport
from runtime.settings.environment import environment

_PATH = "/hearth/models"
_LOOK_S = 1.0
_ON_THE_WAY = frozenset({"fetching", "loading", "draining", "stopping"})  # also an earlier load, that ends first
Json = Annotated[bool, typer.Option("--json", help="For programs: JSON on standard output.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="NAME of a [models.NAME] of the settings.")]
Save = Annotated[
    bool, typer.Option("--save", help="Write it into the settings file too, so that it holds after a restart.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Return when it is ready, or fail with the cause why it is not.")]
Url = Annotated[str | None, typer.Option(help="The runtime at this address, with an admin key in HEARTH_API_KEY.")]


class _Commanded(msgspec.Struct):
    words: str
    models: list[dict[str, Any]] = []


def load(
    name: Name,
    url: Url = None,
    config: ConfigOption = None,
    save: Save = False,
    wait: Wait = False,
    as_json: Json = False,
) -> None:
    """Load a local model on a running Hearth. Refused, with nothing stopped, where it does not fit beside the others.

    \b
    Examples:
      hearth models load small
      hearth models load small --wait
    """
    _commanded(f"{name}/load", {"save": save}, url, config, as_json=as_json, until=name if wait else "")


def unload(name: Name, url: Url = None, config: ConfigOption = None, save: Save = False, as_json: Json = False) -> None:
    """Unload a local model: its running requests end first. An on_demand model comes back with its next request.

    \b
    Examples:
      hearth models unload small
    """
    _commanded(f"{name}/unload", {"save": save}, url, config, as_json=as_json)


def swap(
    name: Name,
    to: Annotated[str, typer.Argument(metavar="TO", help="NAME of the model that takes its place.")],
    url: Url = None,
    config: ConfigOption = None,
    save: Save = False,
    as_json: Json = False,
) -> None:
    """Exchange one local model for another: fetched first, and beside the old one where there is memory for both.

    If the new one cannot be started, the old one comes back.

    \b
    Examples:
      hearth models swap small newer
    """
    _commanded(f"{name}/swap", {"to": to, "save": save}, url, config, as_json=as_json)


def _commanded(
    path: str, body: dict[str, Any], url: str | None, config: Any, *, as_json: bool, until: str = ""
) -> None:
    """until: the model whose loading is awaited."""
    address = runtime_of(url, config, environment())
    # The course of it first: it is read while it happens.
    foretold = asked(address, "POST", f"{_PATH}/{path}", _Commanded, {**body, "dry": True})
    if not as_json:
        typer.echo(foretold.words)
    done = asked(address, "POST", f"{_PATH}/{path}", _Commanded, body)
    if until:
        done.models = [msgspec.to_builtins(loaded(address, until, lambda line: typer.echo(line, err=True)))]
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(done), ensure_ascii=False))


def loaded(
    address: Address, name: str, show: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
) -> ModelStatus:
    """The model when it is ready. Raises CommandError when its load has failed or was ended. show: takes each change of state.

    Every state on the way has a latest end in the runtime, and so has this wait.
    """
    said = ""
    while True:
        rows = asked(address, "GET", "/hearth/status", StatusReport).models
        row = next((each for each in rows if each.name == f"local/{name}"), None)
        if row is None:
            raise CommandError(f"the runtime has no [models.{name}] any more")
        words = f"{row.name} is {row.state}{f': {row.why or row.cause}' if row.why or row.cause else ''}"
        if row.state == "ready":
            return row
        if row.state not in _ON_THE_WAY and said:
            raise CommandError(words)
        if words != said:
            show(said := words)
        sleep(_LOOK_S)
