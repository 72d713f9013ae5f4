"""`hearth classify`: thousands of rows sorted into labels by the running runtime's own engine.

Every question is pinned to `local`, so nothing leaves the box. Knows the options and the texts for the user; reading,
asking, scoring and the journal are elsewhere.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from local_models.classification.labels import LabelError, descriptions_from, labels_from
from local_models.classification.question import INSTRUCTIONS, Prompt
from runtime.cli.bulk.command import performed
from runtime.cli.bulk.job import BulkJob, BulkOutcome
from runtime.cli.bulk.journal import state_files
from runtime.cli.bulk.rows import FileFormat, Source, format_of
from runtime.cli.bulk.sorting import LabelJob
from runtime.cli.client import address_of
from runtime.cli.exits import CommandError, Exit
from runtime.cli.paint import duration
from runtime.cli.streams import as_text
from runtime.settings.environment import environment

LOCAL = "local"
_STDIN = "-"

_Template = Annotated[
    str | None, typer.Option("--template", help="the whole prompt with {text} and {labels}, or @FILE that holds it")
]
_Format = Annotated[FileFormat | None, typer.Option("--format", help="what FILE is, where its name is silent")]
_Tolerance = Annotated[
    float, typer.Option("--tolerance", min=0, max=1, help="probability that need not be asked for exactly")
]


def classify(
    file: Annotated[str, typer.Argument(help="JSON lines, CSV, TSV, or a text a line; - is standard input")],
    out: Annotated[Path, typer.Option("--out", "-o", help="one JSON line per row; the same command again goes on")],
    labels: Annotated[list[str] | None, typer.Option("--labels", help="labels, with commas between")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", help="one label, commas and all; repeatable")] = None,
    describe: Annotated[list[str] | None, typer.Option("--describe", help="LABEL=what it means; repeatable")] = None,
    instructions: Annotated[str, typer.Option("--instructions", help="what the model is told to do")] = INSTRUCTIONS,
    template: _Template = None,
    text_field: Annotated[str | None, typer.Option("--text-field", help="column or member with the text")] = None,
    id_field: Annotated[str, typer.Option("--id-field", help="column or member with the row's id")] = "id",
    format_: _Format = None,
    url: Annotated[str | None, typer.Option("--url", help="the runtime's address; default: the settings' own")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="the settings that say where the runtime is")] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", "-c", min=1, max=1024, help="rows at once")] = 32,
    tolerance: _Tolerance = 0.01,
    patience: Annotated[float, typer.Option("--patience", min=1, help="seconds without any answer, then stop")] = 300.0,
    strict: Annotated[bool, typer.Option("--strict", help="stop at the first bad row")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="throw away what OUT holds")] = False,
    json: Annotated[bool, typer.Option("--json", help="the summary as JSON")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
    model: Annotated[str, typer.Option("--model", hidden=True)] = LOCAL,
) -> None:
    """Sort every row of FILE into one of the labels, on the box's own engine, with the probability of each label.

    Killed or interrupted, the same command goes on where it stopped: no row is lost and none stands twice.
    """
    _check_out(out, file, template, config)
    address = address_of(url, config, environment())
    prompt = _prompt(labels or [], label or [], describe or [], instructions, template)
    with tempfile.TemporaryDirectory(prefix="hearth-classify-") as spool:
        job = BulkJob(
            source=_source(file, format_, text_field, id_field, Path(spool)),
            out=out,
            question=LabelJob(prompt, model, tolerance),
            url=address.url,
            key=address.key,
            socket=address.socket,
            concurrency=concurrency,
            patience_s=patience,
            strict=strict,
            restart=restart,
            replayable=file != _STDIN,
        )
        outcome = performed(job, "classify", quiet=quiet)
    print(msgspec.json.encode(_summary(outcome, out)).decode() if json else _words(outcome, out))
    if outcome.interrupted:
        raise typer.Exit(Exit.INTERRUPTED)
    raise typer.Exit(Exit.FAILED if outcome.stopped or outcome.done.errors else Exit.OK)


def _check_out(out: Path, file: str, template: str | None, config: Path | None) -> None:
    """Raises CommandError where writing OUT, or the state beside it, would overwrite a file that the command reads.

    Files are compared by device and inode, so that links, hard links, `/dev/stdin` and redirections count.
    """
    inputs = [Path("/dev/stdin" if file == _STDIN else file)]
    inputs += [Path(template[1:])] if template is not None and template.startswith("@") else []
    inputs += [config] if config is not None else []
    for written in (out, *state_files(out)):
        for read in inputs:
            with contextlib.suppress(OSError):
                if written.is_file() and written.samefile(read):
                    words = f"{read} and the output {written} are the same file, which would be overwritten"
                    raise CommandError(f"{words}: choose another -o", Exit.USAGE)


def _prompt(
    labels: list[str], label: list[str], describe: list[str], instructions: str, template: str | None
) -> Prompt:
    try:
        names = labels_from(list(map(as_text, labels)), list(map(as_text, label)))
        if template is not None and template.startswith("@"):
            template = Path(template[1:]).read_text(encoding="utf-8-sig")
        elif template is not None:
            template = as_text(template)
        described = descriptions_from(list(map(as_text, describe)), names)
        return Prompt(names, described, as_text(instructions), template)
    except LabelError as error:
        raise CommandError(str(error), Exit.USAGE) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"the template {template} cannot be read: {error}", Exit.USAGE) from error


def _source(file: str, format_: FileFormat | None, text_field: str | None, id_field: str, spool: Path) -> Source:
    """The input. Standard input is copied to a file first: it can be counted then, and read at the engine's pace."""
    path = Path(file)
    if file == _STDIN:
        path = spool / "stdin"
        with path.open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
    try:
        with path.open("rb") as opened:
            size = opened.seek(0, 2)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", Exit.USAGE) from error
    return Source(path, format_ or format_of(path), size, text_field, id_field)


def _summary(outcome: BulkOutcome, out: Path) -> dict[str, Any]:
    """The summary as JSON. rows_per_second, seconds, requests: of this run; the rest: of all lines in OUT."""
    state = "interrupted" if outcome.interrupted else "stopped" if outcome.stopped else "complete"
    return {
        "state": state,
        "rows": outcome.total,
        "done": outcome.done.rows,
        "done_before": outcome.before,
        "errors": outcome.done.errors,
        "labels": dict(outcome.done.labels.most_common()),
        "model": outcome.model,
        "seconds": round(outcome.seconds, 3),
        "rows_per_second": round(outcome.now / outcome.seconds, 2) if outcome.seconds else 0.0,
        "requests": outcome.requests,
        "further_questions": outcome.further,
        "waits": outcome.waits,
        "out": str(out),
        "reason": outcome.stopped or None,
        "first_error": outcome.first_bad or None,
    }


def _words(outcome: BulkOutcome, out: Path) -> str:
    done, said = outcome.done, []
    rate = f" in {duration(outcome.seconds)}, {outcome.now / outcome.seconds:.1f} rows/s" if outcome.now else ""
    said.append(f"{done.rows:,} of {outcome.total:,} rows are in {out} ({outcome.now:,} now{rate})")
    said += [f"  {count:>9,}  {label}" for label, count in done.labels.most_common()]
    if done.errors:
        first = f"; the first now: {outcome.first_bad}" if outcome.first_bad else ""
        said.append(f'{done.errors:,} rows could not be classified: their lines have "error" instead of "label"{first}')
    if outcome.stopped:
        said.append(f"stopped: {outcome.stopped}")
    if outcome.stopped or outcome.interrupted:
        said.append("the same command resumes from here")
    return "\n".join(said)
