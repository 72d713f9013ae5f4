"""`hearth ui`: opens the dashboard in a browser, signed in."""

from __future__ import annotations

import html
import os
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from runtime.cli.client import address_of, client, faults_in_words, settings_from
from runtime.cli.exits import CommandError, Exit
from runtime.cli.settings_file import ConfigOption, FilePath, settings_file
from runtime.settings.environment import API_KEY, environment, state_dir
from runtime.trust.admin_key import NAME

_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
_PAGE = "ui.html"


def ui(
    *,
    browser: Annotated[
        bool, typer.Option(help="Open a browser; with --no-browser the address is only printed.")
    ] = True,
    url: Annotated[str | None, typer.Option(help="Where the runtime is; else as the settings say.")] = None,
    path: FilePath = None,
    config: ConfigOption = None,
) -> None:
    """Open the dashboard signed in: with the first admin key of the settings, or the one that this box made for itself.

    Examples:

      hearth ui

      hearth ui --no-browser
    """
    env, file = environment(), settings_file(path, config)
    address = address_of(url, file, env)
    if address.socket:
        words = (
            f"the runtime listens on {address.socket}, which no browser opens: use the address of the proxy in front"
        )
        raise CommandError(words, Exit.USAGE)
    with faults_in_words(address), client(address, read_s=5.0) as http:
        http.get("/health/live")
    prefix = "" if url is not None else settings_from(file, env).server.path_prefix
    key = env.get(API_KEY, "") if url is not None else admin_key(file, env)
    page = f"{address.url}{prefix}/" + (f"#key={quote(key, safe='')}" if key else "")
    typer.echo(page)
    if not key:
        typer.echo("no key was found: the page asks for one where it needs it", err=True)
    if browser and any(env.get(name) for name in _SCREENS):
        open_signed_in(page, state_dir(env))


def admin_key(file: Path | None, env: Mapping[str, str]) -> str:
    """The first configured admin key, else that of the state folder, else HEARTH_API_KEY; "" without any."""
    configured = settings_from(file, env).server.admin_keys
    if configured:
        return configured[0].reveal()
    try:
        return (state_dir(env) / NAME).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return env.get(API_KEY, "")


def open_signed_in(page: str, folder: Path) -> None:
    """Opens a file that leads to the page: the arguments of a browser's process are seen by every user of the machine."""
    way = folder / _PAGE
    way.unlink(missing_ok=True)
    handle = os.open(way, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as made:
        made.write(
            f'<!doctype html><meta http-equiv="refresh" content="0;url={html.escape(page)}"><title>Hearth</title>\n'
        )
    webbrowser.open(way.absolute().as_uri())
