"""`hearth service`: a systemd unit for this installation, shown before it is written, and removed again."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from runtime.cli.exits import CommandError, Exit
from runtime.cli.installation import installation
from runtime.cli.launch import HELP
from runtime.cli.settings_file import ConfigOption, FilePath, settings_file
from runtime.cli.unit import NAME, ServiceWish, unit
from runtime.compose.runtime import load_settings
from runtime.settings import SettingsError, environment

SYSTEM = Path("/etc/systemd/system")
_MARGIN_S = 30  # for the end of the engine's processes, beyond both drains

app = typer.Typer(
    name="service",
    no_args_is_help=True,
    add_completion=False,
    context_settings=HELP,
    help="Install and remove a systemd service of this installation.\n\n"
    "\b\nExamples:\n  hearth service install --config hearth.toml\n  sudo hearth service install --system\n"
    "  hearth service remove",
)

System = Annotated[bool, typer.Option("--system", help="For the whole machine (as root), not for this user alone.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command()
def install(
    path: FilePath = None,
    config: ConfigOption = None,
    system: System = False,
    run_as: Annotated[
        str | None,
        typer.Option("--run-as", metavar="USER", help="Whom a system service runs as; left out: who ran sudo."),
    ] = None,
    yes: Yes = False,
) -> None:
    """Show the unit and the commands that put it in force, ask, and do it.

    \b
    Examples:
      hearth service install --config hearth.toml
      sudo hearth service install --system --run-as hearth
    """
    env = environment()
    file, text = planned(env, settings_file(path, config), system=system, run_as=run_as)
    commands = [_systemctl(system, "daemon-reload"), _systemctl(system, "enable", "--now", NAME)]
    _show(f"This is written to {file}:\n\n{text}", commands)
    _agreed(yes)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    except OSError as fault:
        raise CommandError(
            f"{file} cannot be written: {fault.strerror}{'' if os.geteuid() == 0 else '; try sudo'}"
        ) from fault
    _carry_out(commands)
    follow = f"journalctl {'' if system else '--user '}-fu {NAME}"
    linger = "" if system else "\nTo keep it running while you are logged out: loginctl enable-linger"
    typer.echo(f"installed; its log: {follow}{linger}")


@app.command()
def remove(system: System = False, yes: Yes = False) -> None:
    """Stop the service and remove its unit. The state folder, weights and the engine stay.

    \b
    Examples:
      hearth service remove
      sudo hearth service remove --system
    """
    file = _file(environment(), system)
    if not file.exists():
        raise CommandError(f"there is no {file}")
    stop, reload = _systemctl(system, "disable", "--now", NAME), _systemctl(system, "daemon-reload")
    _show(f"{file} is removed.", [stop, reload])
    _agreed(yes)
    _carry_out([stop])
    try:
        file.unlink()
    except OSError as fault:
        raise CommandError(
            f"{file} cannot be removed: {fault.strerror}{'' if os.geteuid() == 0 else '; try sudo'}"
        ) from fault
    _carry_out([reload])
    kept = "/var/lib/hearth and /etc/hearth" if system else "the state folder and the settings"
    typer.echo(f"removed; {kept} are kept")


def planned(env: Mapping[str, str], config: Path | None, *, system: bool, run_as: str | None) -> tuple[Path, str]:
    """The unit's place and text. Raises CommandError where this installation cannot be a service."""
    here = installation(env)
    program = Path(sys.executable).parent / "hearth"
    if here.way == "uvx" or ".cache" in program.parts:
        raise CommandError(
            f"{program} is in a cache that may be emptied: install it to stay (uv tool install hearth-runtime, "
            "or pipx install hearth-runtime), and run that one's `hearth service install`"
        )
    if not program.exists():
        raise CommandError(f"there is no program {program}: install the package (make install in a checkout)")
    try:
        loaded = load_settings(config, env)
    except SettingsError as fault:
        raise CommandError(str(fault), Exit.SETTINGS) from fault
    user = run_as or env.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    try:
        home = Path(pwd.getpwnam(user).pw_dir)
    except KeyError:
        raise CommandError(f"there is no user {user}: sudo useradd --system --create-home {user}", Exit.USAGE) from None
    drains = loaded.settings.server.drain + loaded.settings.engine.drain
    wish = ServiceWish(
        program=program,
        config=loaded.file.resolve() if loaded.file else None,  # also one that was found here: a service runs elsewhere
        user=user if system else None,
        cache=home / ".cache",
        stop_s=int(drains) + _MARGIN_S,
    )
    return _file(env, system), unit(wish)


def _file(env: Mapping[str, str], system: bool) -> Path:
    if system:
        return SYSTEM / NAME
    named = Path(env.get("XDG_CONFIG_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".config") / "systemd" / "user" / NAME


def _systemctl(system: bool, *words: str) -> list[str]:
    return ["systemctl", *([] if system else ["--user"]), *words]


def _show(what: str, commands: list[list[str]]) -> None:
    runs = "\n".join(f"  {shlex.join(command)}" for command in commands)
    typer.echo(f"{what}\nand these run:\n\n{runs}\n")


def _agreed(yes: bool) -> None:
    """Raises CommandError unless the user agrees. Nobody is there to ask without a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError("nothing was changed: add --yes to do it without being asked")
    if not typer.confirm("Go on?"):
        raise CommandError("nothing was changed")


def _carry_out(commands: list[list[str]]) -> None:
    """Runs the commands. One that fails is named with its words; the file stays, since it is what was asked for."""
    for command in commands:
        if shutil.which(command[0]) is None:
            raise CommandError(f"there is no {command[0]} here; where systemd runs: {shlex.join(command)}")
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            raise CommandError(f"{shlex.join(command)} failed: {(ended.stderr or ended.stdout).strip()}")
