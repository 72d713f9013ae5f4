"""`hearth doctor`: checks everything the runtime needs on this box, and says what to do about each fault."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cloud.providers import NAMES as PROVIDER_NAMES
from local_models.host import visible
from local_models.host.gpu import GpuProbe, NvmlProbe, survey
from local_models.replica.environment import find_engine
from local_models.weights.cache import cache_home
from runtime.cli import box, checks
from runtime.cli.acceptance.outcome import FAILED, markdown
from runtime.cli.acceptance.run import acceptance
from runtime.cli.checks import FAIL, OK, WARN, CheckRow
from runtime.cli.client import address_of
from runtime.cli.exits import CommandError, Exit
from runtime.cli.installation import installation
from runtime.cli.paint import Paint, columns, paint_for
from runtime.cli.settings_file import ConfigOption, FilePath, settings_file
from runtime.cli.state_files import repaired, state_rows
from runtime.compose.effect import without_effect
from runtime.compose.state import StateLocked, lock_state
from runtime.compose.targets import retiring
from runtime.settings import Settings, SettingsError, environment, load, state_dir

_STYLE = {OK: "green", WARN: "yellow", FAIL: "red"}


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="The rows as one JSON object.")] = False,
    gpu: Annotated[bool, typer.Option("--gpu", help="Try this box with a real engine, which takes minutes.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="With --gpu: also write the report to PATH.md and PATH.json.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Move damaged state files aside. Nothing is deleted.")
    ] = False,
    path: FilePath = None,
    config: ConfigOption = None,
) -> None:
    """Check this box: GPU, driver, vLLM, weights, keys, port, disk, state. Exit code 1 when something must be done.

    With --gpu an engine is started on its own, asked, measured, killed and hung, and a report written to paste into an issue.

    \b
    Examples:
      hearth doctor
      hearth doctor --gpu --report this-box
    """
    env = environment()
    if repair:
        _repair(state_dir(env))
    if gpu:
        _trial(settings_file(path, config), env, report, as_json=as_json)
        return
    rows = list(examine(settings_file(path, config), env, NvmlProbe(time.monotonic, env.get(visible.VARIABLE))))
    if as_json:
        sys.stdout.write(msgspec.json.encode({"ok": not _failed(rows), "checks": rows}).decode() + "\n")
    else:
        sys.stdout.write("\n".join(_lines(rows, paint_for(sys.stdout, env))) + "\n")
    sys.stdout.flush()
    if _failed(rows):
        raise CommandError(f"{len(_failed(rows))} of {len(rows)} checks failed", Exit.FAILED)


def _repair(folder: Path) -> None:
    """Moves damaged files aside while no runtime uses them."""
    try:
        with lock_state(folder):
            for line in repaired(folder):
                typer.echo(line, err=True)
    except StateLocked as locked:
        raise CommandError(f"{locked}: stop it first") from locked
    except OSError as error:
        raise CommandError(f"{folder} cannot be repaired: {error}") from error


def _trial(config: Path | None, env: Mapping[str, str], report: Path | None, *, as_json: bool) -> None:
    try:
        engine = load(config, env, PROVIDER_NAMES).settings.engine
    except SettingsError as fault:
        raise CommandError(str(fault), Exit.SETTINGS) from fault
    probe = NvmlProbe(time.monotonic, env.get(visible.VARIABLE))
    made = acceptance(engine, env, probe, lambda line: typer.echo(line, err=True))
    texts = {".md": markdown(made), ".json": msgspec.json.format(msgspec.json.encode(made)).decode() + "\n"}
    for suffix, text in texts.items():
        if report is not None:
            report.with_name(report.name + suffix).write_text(text)
    sys.stdout.write(texts[".json" if as_json else ".md"])
    sys.stdout.flush()
    if not made.ok:
        raise CommandError(f"{sum(each.verdict == FAILED for each in made.checks)} of {len(made.checks)} checks failed")


def examine(config: Path | None, env: Mapping[str, str], probe: GpuProbe) -> Iterator[CheckRow]:
    """Every check, in the order in which a start would meet them."""
    yield checks.python_row(sys.version_info[:3], platform.system(), platform.machine())
    yield CheckRow("installed", OK, str(installation(env)))
    try:
        loaded = load(config, env, PROVIDER_NAMES)
    except (SettingsError, OSError) as fault:
        yield CheckRow("settings", FAIL, str(fault), "correct them, then: hearth config check")
        return
    yield CheckRow("settings", OK, str(loaded.file) if loaded.file else "defaults and environment")
    for line in (*loaded.warnings, *without_effect(loaded.settings, env)):
        yield CheckRow("settings", WARN, line)
    yield from _engine(loaded.settings, env, probe)
    absent, targets = loaded.settings.absent, loaded.settings.targets
    usable = {name: f"{said.provider}/{said.model}" for name, said in targets.items() if name not in absent}
    ending = retiring(loaded.settings, datetime.now(UTC).date())
    yield from checks.target_rows(usable, absent, loaded.settings.escalation.mode, ending)
    fleet = loaded.settings.fleet
    if fleet.store:
        trouble, todo = box.ask_store(fleet.store, fleet.store_key.value if fleet.store_key is not None else None)
        yield CheckRow("fleet's store", FAIL if trouble else OK, trouble or fleet.store, todo)
    if loaded.settings.server.port == 0:
        yield CheckRow("port", OK, "any free one")
    else:
        yield _port(loaded.settings, config, env)
    state, cache = state_dir(env), cache_home(env)
    yield checks.state_row(str(state), why_not=box.why_not_writable(state), owner=box.lock_owner(state))
    yield from state_rows(state)
    yield checks.disk_row("disk (state)", str(state), box.free_space(state))
    yield checks.disk_row("disk (weights)", str(cache), box.free_space(cache))


def _engine(settings: Settings, env: Mapping[str, str], probe: GpuProbe) -> Iterator[CheckRow]:
    said = settings.engine
    if said.url:
        key = said.key.value if said.key else None
        yield from (checks.attached_row(url, *box.ask_server(url, key, env)) for url in said.url)
        return
    seen, found = survey(probe), box.engines()
    gpus = seen.gpus
    yield from checks.gpu_fault_rows(said.device, seen.faults)
    yield from checks.gpu_rows(said.device, gpus, seen.reason, box.driver_version(), seen.faults)
    yield from checks.other_work_rows(gpus, seen.processes, found.living)
    yield checks.engine_row(
        find_engine(said.device, gpus, seen.reason, env=env, faults=seen.faults, python=said.python)
    )
    kept = box.look_for_weights(said.model, env)
    if kept.fault:
        yield CheckRow("weights", FAIL, kept.fault, kept.todo)
    else:
        yield checks.weights_row(said.model, kept.place, kept.size, offline=said.offline)
    yield checks.shm_row(box.shm_size(), groups=len(gpus) > said.replicas)
    yield checks.orphans_row(found.orphaned)


def _port(settings: Settings, config: Path | None, env: Mapping[str, str]) -> CheckRow:
    server = settings.server
    if server.socket:
        return CheckRow("port", OK, f"none: it listens on {server.socket}")
    address = address_of(None, config, env)
    free = box.port_is_free(server.host, server.port)
    runtime = not free and box.answers_like_hearth(address.url)
    holder = None if free or runtime else box.port_holder(server.port)
    return checks.port_row(address.url, free=free, runtime=runtime, holder=holder)


def _failed(rows: Sequence[CheckRow]) -> list[CheckRow]:
    return [row for row in rows if row.verdict == FAIL]


def _lines(rows: Sequence[CheckRow], paint: Paint) -> list[str]:
    """One line per check, with what to do below it."""
    cells = [
        ((row.verdict, _STYLE[row.verdict]), (row.check, "bold"), (row.words.replace("\n", "; "), "")) for row in rows
    ]
    lines = columns(cells, paint, indent="")
    shown: list[str] = []
    for row, line in zip(rows, lines, strict=True):
        shown.append(line)
        if row.todo:
            shown.append(f"      {paint('->', 'bold')} {row.todo}")
    return shown
