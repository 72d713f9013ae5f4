"""`hearth cost`: what requests cost, through a running runtime, or from the state folder where none runs."""

from __future__ import annotations

import csv
import sqlite3
import sys
import time
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlencode

import msgspec
import typer

from runtime.cli.client import address_of, asked, own_runtime
from runtime.cli.exits import CommandError, Exit
from runtime.cli.paint import Paint, paint_for
from runtime.cli.settings_file import ConfigOption
from runtime.compose.baseline import tally_of
from runtime.compose.budget import ALONE
from runtime.compose.runtime import load_settings
from runtime.compose.state import StateLocked, lock_state
from runtime.compose.targets import targets
from runtime.record.cost_report import CostReport, CostRow, TargetDay, cost_report, days_of, usd
from runtime.record.database import DamagedError, upgrade
from runtime.settings import SettingsError
from runtime.settings.environment import environment, state_dir
from runtime.trust.key_store import KeyStore

_PATH = "/hearth/cost"
_FILE = "decisions.sqlite3"
_MOST_NAME = 48


class By(StrEnum):
    TARGET = "target"
    MODEL = "model"
    KEY = "key"
    ROUTE = "route"
    DAY = "day"


def cost(
    *,
    by: Annotated[By, typer.Option(help="What a row is.")] = By.TARGET,
    days: Annotated[int | None, typer.Option(min=1, max=10_000, help="The last so many days; default: 30.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="The first day, as 2026-11-01.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="The last day.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="One line for each row, with a head.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: JSON.")] = False,
    url: Annotated[
        str | None, typer.Option(help="Ask the runtime at this address, with a key in HEARTH_API_KEY.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Show what requests cost, what the same tokens would have cost at one named target, and how reliable each target was.

    Examples:

      hearth cost --by day --days 7

      hearth cost --by key --from 2026-11-01 --to 2026-11-30 --csv
    """
    if as_csv and as_json:
        raise CommandError("choose one of --csv and --json", Exit.USAGE)
    env = environment()
    folder = state_dir(env)
    query = {"by": by.value, "days": days, "from": first, "to": last}
    asking = f"{_PATH}?{urlencode({name: value for name, value in query.items() if value is not None})}"
    if url is not None:
        report = asked(address_of(url, config, env), "GET", asking, CostReport)
    else:
        try:
            with lock_state(folder):
                report = _from_folder(by.value, days, first, last, config)
        except StateLocked:
            report = asked(own_runtime(folder, config, env), "GET", asking, CostReport)
        except OSError as fault:
            raise CommandError(f"the state folder {folder} cannot be used: {fault}") from fault
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    elif as_csv:
        write_csv(report)
    else:
        sys.stdout.write(described(report, paint_for(sys.stdout, env)))


def _from_folder(by: str, days: int | None, first: str | None, last: str | None, config: ConfigOption) -> CostReport:
    """The report of a folder that no runtime owns. Raises CommandError."""
    env = environment()
    folder = state_dir(env)
    path = folder / _FILE
    try:
        settings = load_settings(config, env).settings
        tally = tally_of(settings, targets(settings))
        window = days_of(first, last, days, datetime.fromtimestamp(time.time(), tally.zone).date())
        upgrade(path, settings.records.max_mb, tally)
        names = {key.id: key.terms.name for key in KeyStore(folder, time.time).list()} if by == By.KEY else {}
        made = cost_report(path, by, window, tally, names)
        return msgspec.structs.replace(made, notes=(*made.notes, ALONE)) if settings.fleet.store else made
    except SettingsError as error:
        raise CommandError(str(error), Exit.SETTINGS) from error
    except ValueError as wrong:
        raise CommandError(str(wrong), Exit.USAGE) from wrong
    except (sqlite3.Error, DamagedError) as fault:
        raise CommandError(f"{path} cannot be read: {fault}") from fault


def write_csv(report: CostReport) -> None:
    """Rows of plain numbers; what is not known is empty. By target, the reliability of each day behind the sums."""
    columns = [name for name in CostRow.__struct_fields__ if name != "days"]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    more = TargetDay.__struct_fields__ if report.by == "target" else ()
    writer.writerow([report.by if name == "name" else name for name in columns] + list(more))
    for row in report.rows:
        amounts = [getattr(row, name) for name in columns]
        if not more:
            writer.writerow(amounts)
        # The sums stand once, on a line of their own, so that a column can be added up.
        if more:
            writer.writerow([*amounts, *[None] * len(more)])
            blank = [row.name, *[None] * (len(columns) - 1)]
            writer.writerows([*blank, *msgspec.structs.astuple(day)] for day in row.days)


def described(report: CostReport, paint: Paint) -> str:
    """The report for a person."""
    lines = [paint(f"{report.first} to {report.last}, days of {report.timezone}", "dim"), ""]
    heads = ("requests", "failed", "tokens in", "cached", "tokens out", "cost", "there", "saving", "no price")
    rows = [(report.by, heads), *((row.name, _cells(row)) for row in (*report.rows, report.total))]
    lines += _table(rows)
    if report.by == "target":
        day_heads = ("attempts", "success", "failovers", "429s", "ttft p50", "ttft p95", "breaker open")
        days = [(f"{row.name} {day.day}", _day_cells(day)) for row in report.rows for day in row.days]
        lines += ["", *_table([("target and day", day_heads), *days])] if days else []
    lines.append("")
    baseline = report.baseline
    if baseline is None:
        lines.append(f"No saving is measured: {report.unmeasured}.")
    else:
        rates = f"${baseline.input:g} and ${baseline.output:g} for a million tokens in and out"
        lines.append(f"{baseline.words}. It costs {rates}.")
        if baseline.saving_usd is not None:
            amount, than = usd(abs(baseline.saving_usd)), "less" if baseline.saving_usd >= 0 else "more"
            share = f" ({abs(baseline.share):.0%})" if baseline.share is not None else ""
            lines.append(
                f"The {baseline.compared} answers whose own cost is known cost {amount}{share} {than} than there."
            )
    lines += [f"{note[0].upper()}{note[1:]}." for note in report.notes]
    lines.append(paint(f"Not counted: {'; '.join(report.not_counted)}.", "dim"))
    return "\n".join(lines) + "\n"


def _cells(row: CostRow) -> tuple[str, ...]:
    counts = (row.requests, row.failed, row.prompt_tokens, row.cached_tokens, row.completion_tokens)
    amounts = (row.cost_usd, row.baseline_usd, row.saving_usd)
    share = f"{row.unpriced_share:.0%}" if row.unpriced_share is not None else "-"
    return (*(f"{count:,}" for count in counts), *("-" if each is None else usd(each) for each in amounts), share)


def _day_cells(day: TargetDay) -> tuple[str, ...]:
    times = ("-" if ms is None else f"{ms / 1000:.2f} s" for ms in (day.ttft_p50_ms, day.ttft_p95_ms))
    success = "-" if day.success is None else f"{day.success:.1%}"
    return (
        f"{day.attempts:,}",
        success,
        f"{day.failovers:,}",
        f"{day.rate_limited:,}",
        *times,
        f"{day.breaker_open_s:.0f} s",
    )


def _table(rows: Iterable[tuple[str, tuple[str, ...]]]) -> list[str]:
    """Lines of a table: the first column to the left, numbers to the right."""
    cells = [(name[:_MOST_NAME], *numbers) for name, numbers in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in cells
    ]
