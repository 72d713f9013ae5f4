"""`hearth keys`: named keys, through a running runtime, or in the state folder where none runs."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer

from runtime.cli.client import Address, address_of, asked, own_runtime
from runtime.cli.exits import CommandError, Exit
from runtime.cli.launch import HELP
from runtime.cli.settings_file import ConfigOption
from runtime.compose.state import StateLocked, lock_state
from runtime.settings.environment import environment, state_dir
from runtime.trust.key_store import KeyRecord, KeyStore, KeyTerms, UnknownKeyError

app = typer.Typer(
    name="keys",
    no_args_is_help=True,
    add_completion=False,
    context_settings=HELP,
    help="Named keys with scopes and limits. A secret is shown once and kept nowhere.\n\n"
    "\b\nExamples:\n  hearth keys create web --scope generate --requests-per-minute 600\n  hearth keys list",
)

Url = Annotated[str | None, typer.Option(help="The runtime at this address, with an admin key in HEARTH_API_KEY.")]
Json = Annotated[bool, typer.Option("--json", help="For programs: JSON.")]
Named = Annotated[str, typer.Argument(help="The key's name or id.")]
_PATH = "/hearth/keys"
_SPAN = re.compile(r"(\d+)(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class NewKey(msgspec.Struct, frozen=True):
    """A key with the secret that is shown this once."""

    key: KeyRecord
    secret: str


class _Listed(msgspec.Struct):
    data: list[KeyRecord]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for; no two keys in force have the same name.")],
    *,
    scope: Annotated[
        list[str] | None, typer.Option(help="generate, read or admin; default: generate and read.")
    ] = None,
    requires: Annotated[list[str] | None, typer.Option(help="A certificate that each request then demands.")] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="A target it may use: a name, `local`, or `PROVIDER/*`.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model name it may ask for, as requests write it.")] = None,
    priority: Annotated[list[str] | None, typer.Option(help="interactive, default or batch.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1)] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1)] = None,
    parallel: Annotated[int | None, typer.Option(min=1, help="Requests at a time.")] = None,
    daily_usd: Annotated[float | None, typer.Option(min=0)] = None,
    monthly_usd: Annotated[float | None, typer.Option(min=0)] = None,
    expires: Annotated[str | None, typer.Option(help="After so long: 12h, 30d.")] = None,
    url: Url = None,
    config: ConfigOption = None,
    as_json: Json = False,
) -> None:
    """Make a key and show its secret, this once.

    \b
    Examples:
      hearth keys create web --requests-per-minute 600 --parallel 8
      hearth keys create clinic --requires hipaa --target local --expires 90d --json
    """
    wanted = {
        "name": name,
        "scopes": scope,
        "requires": requires,
        "targets": target,
        "models": model,
        "priorities": priority,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "parallel": parallel,
        "daily_usd": daily_usd,
        "monthly_usd": monthly_usd,
        "expires": None if expires is None else time.time() + seconds(expires),
    }
    body = {member: value for member, value in wanted.items() if value is not None}
    try:
        terms = msgspec.convert(body, KeyTerms)
    except msgspec.ValidationError as fault:
        raise CommandError(f"the key cannot be made: {fault}", Exit.USAGE) from fault
    with _keys(url, config) as keys:
        made = NewKey(*keys.create(terms)) if isinstance(keys, KeyStore) else asked(keys, "POST", _PATH, NewKey, body)
    _show(made, as_json)


@app.command("list")
def listing(url: Url = None, config: ConfigOption = None, as_json: Json = False) -> None:
    """Print every key with its limits; never a secret.

    \b
    Examples:
      hearth keys list --json
    """
    with _keys(url, config) as keys:
        rows = keys.list() if isinstance(keys, KeyStore) else asked(keys, "GET", _PATH, _Listed).data
    for row in rows:
        typer.echo(msgspec.json.encode(row).decode() if as_json else _line(row))


@app.command()
def rotate(
    named: Named,
    grace: Annotated[str, typer.Option(help="How long the old secret stays good: 10m, 1d.")] = "0s",
    url: Url = None,
    config: ConfigOption = None,
    as_json: Json = False,
) -> None:
    """Give a key a new secret. Its id stays, and with it the files, batches and responses that it owns.

    \b
    Examples:
      hearth keys rotate web --grace 1h
    """
    grace_s = seconds(grace)
    with _keys(url, config) as keys:
        if isinstance(keys, KeyStore):
            made = NewKey(*keys.rotate(named, grace_s))
        else:
            made = asked(keys, "POST", f"{_PATH}/{quote(named, safe='')}/rotate", NewKey, {"grace_s": grace_s})
    _show(made, as_json)


@app.command()
def revoke(named: Named, url: Url = None, config: ConfigOption = None, as_json: Json = False) -> None:
    """End a key, at once.

    \b
    Examples:
      hearth keys revoke web
    """
    with _keys(url, config) as keys:
        if isinstance(keys, KeyStore):
            record = keys.revoke(named)
        else:
            record = asked(keys, "DELETE", f"{_PATH}/{quote(named, safe='')}", KeyRecord)
    typer.echo(msgspec.json.encode(record).decode() if as_json else _line(record))


def seconds(span: str) -> float:
    """A length of time such as 90s, 10m, 12h or 30d in seconds. Raises CommandError."""
    found = _SPAN.fullmatch(span)
    if found is None or len(found[1]) > 9:
        raise CommandError(f"`{span}` is no length of time; write it like 10m, 12h or 30d", Exit.USAGE)
    return float(int(found[1]) * _SECONDS[found[2]])


@contextlib.contextmanager
def _keys(url: str | None, config: ConfigOption) -> Iterator[KeyStore | Address]:
    """The folder's keys while no runtime owns it; else the address of the runtime, with a key that may change things."""
    env = environment()
    folder = state_dir(env)
    with contextlib.ExitStack() as held:
        keys: KeyStore | Address | None = None
        try:
            if url is None:
                held.enter_context(lock_state(folder))
                keys = KeyStore(folder, time.time)
            if keys is None:
                keys = address_of(url, config, env)
        except StateLocked:
            keys = own_runtime(folder, config, env)
        try:
            yield keys
        except UnknownKeyError as fault:
            raise CommandError(f"no key in force is named {fault}; `hearth keys list` shows them") from fault
        except ValueError as fault:
            raise CommandError(str(fault)) from fault
        except sqlite3.Error as fault:
            raise CommandError(f"the file of keys in {folder} cannot be used: {fault}") from fault


def _show(made: NewKey, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(made).decode())
    else:
        typer.echo(f"{made.secret}\n")
        typer.echo(_line(made.key))
        typer.echo(
            "The secret is shown this once; only its digest is kept. Requests without a key are refused from now on."
        )


def _line(record: KeyRecord) -> str:
    terms = msgspec.to_builtins(record.terms)
    limits = ", ".join(
        f"{name} {' '.join(value) if isinstance(value, (list, tuple)) else value}"
        for name, value in terms.items()
        if value not in (None, ()) and name not in ("name", "expires")
    )
    state = "revoked" if record.revoked else "in force"
    if record.terms.expires is not None and not record.revoked:
        state = f"until {datetime.fromtimestamp(record.terms.expires, UTC):%Y-%m-%d %H:%M} UTC"
    return f"{record.id}  {record.terms.name}  {state}  {limits}"
