"""`hearth audit`: shows the audit log and judges it, from the state folder or through a running runtime."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from runtime.cli.client import address_of, asked
from runtime.cli.exits import CommandError, Exit
from runtime.cli.launch import HELP
from runtime.cli.paint import paint_for
from runtime.settings.environment import environment, state_dir
from runtime.trust.audit.chain import AuditEntry
from runtime.trust.audit.show import latest
from runtime.trust.audit.verify import AuditVerdict
from runtime.trust.audit.verify import verify as judged

app = typer.Typer(
    name="audit",
    no_args_is_help=True,
    add_completion=False,
    context_settings=HELP,
    help="Where each answer was made, and the proof that no record was changed.\n\n"
    "\b\nExamples:\n  hearth audit verify\n  hearth audit show --decision dec_0123456789abcdef",
)

Url = Annotated[str | None, typer.Option(help="Ask the runtime at this address, with an admin key in HEARTH_API_KEY.")]
Json = Annotated[bool, typer.Option("--json", help="For programs: JSON.")]
_PATH = "/hearth/audit"


class _Listed(msgspec.Struct):
    data: list[AuditEntry]


@app.command()
def verify(
    url: Url = None,
    head: Annotated[
        Path | None, typer.Option(help="A copy of the head (STATE/audit/head.json) that was kept elsewhere.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say whether every record is there, in its place and as it was written. Exit code 1 if not.

    \b
    Examples:
      hearth audit verify
      hearth audit verify --head /mnt/elsewhere/head.json --json
    """
    if url is not None:
        found = asked(address_of(url, None, environment()), "GET", f"{_PATH}/verify", AuditVerdict)
    else:
        folder = state_dir(environment()) / "audit"
        try:
            found = judged(folder, head)
        except OSError as error:
            raise CommandError(f"{folder} cannot be read: {error.strerror}") from error
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        paint = paint_for(sys.stdout, environment())
        for each in found.findings:
            typer.echo(f"{each.kind}: {each.words}{f' ({each.place})' if each.place else ''}")
        span = f"records {found.first} to {found.last}" if found.records else "no records"
        verdict = (
            paint("intact", "green") if found.intact else paint(f"not intact from record {found.first_bad}", "red")
        )
        typer.echo(f"{span}: {verdict}")
    if not found.intact:
        raise typer.Exit(Exit.FAILED)


@app.command()
def show(
    url: Url = None,
    decision: Annotated[str | None, typer.Option(help="Only the records of this decision.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The latest so many records.")] = 20,
    as_json: Json = False,
) -> None:
    """Print the latest records, newest first: which request, what it demanded, where it was answered, what left this machine.

    \b
    Examples:
      hearth audit show
      hearth audit show --decision dec_0123456789abcdef --json
    """
    if url is not None:
        query = f"?limit={limit}{f'&decision={decision}' if decision else ''}"
        rows = asked(address_of(url, None, environment()), "GET", _PATH + query, _Listed).data
    else:
        folder = state_dir(environment()) / "audit"
        try:
            rows = latest(folder, limit, decision=decision)
        except OSError as error:
            raise CommandError(f"{folder} cannot be read: {error.strerror}") from error
    for row in rows:
        typer.echo(msgspec.json.encode(row).decode() if as_json else _line(row))


def _line(row: AuditEntry) -> str:
    at = datetime.fromtimestamp(row.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    body = row.body
    demands = f", requires {' '.join(body['requires'])}" if body.get("requires") else ""
    match row.kind:
        case "answer":
            box = " on this machine" if body["on_box"] else ""
            where = f"answered by {body['target']}{box}" if body["target"] else "not answered"
            words = f"{body['decision']} {where} ({body['status']}){demands}"
        case "delivery":
            words = f"{body['decision']} answered by {body['target']} on this machine: about to leave"
        case "departure":
            went = f"refused: {body['refused']}" if body["refused"] else "left"
            words = (
                f"{body['decision'] or 'no request'} {body['way']} to {body['to']} {body['origin']}{demands}: {went}"
            )
        case "change":
            words = f"{body['words']} (by {body['caller'][:12] or 'nobody'})"
        case _:
            words = msgspec.json.encode(body).decode()
    return f"{row.n}  {at}  {row.kind}  {words}"
