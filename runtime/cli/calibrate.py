"""`hearth calibrate --confidence`: the local model answers questions, and the map of its early confidence is made.

Knows the options and the texts for the user; asking, judging and the journal are in `bulk`, the arithmetic is in
`runtime.routing.calibration`. `--cloud-share` is in `threshold`, `--quality` in `quality_threshold`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from runtime.cli.bulk.command import performed
from runtime.cli.bulk.job import BulkJob, BulkOutcome
from runtime.cli.bulk.judging import RIGHT, JudgingJob
from runtime.cli.bulk.rows import FileFormat, Source
from runtime.cli.client import address_of, settings_from
from runtime.cli.exits import CommandError, Exit
from runtime.cli.quality_threshold import propose_quality
from runtime.cli.threshold import Wanted, propose
from runtime.compose.confidence import maps_folder, models_of, write_map
from runtime.contract.targets import LOCAL
from runtime.routing.calibration import Judged, TooFewError, fitted
from runtime.routing.confidence import ConfidenceMap
from runtime.settings.environment import environment, state_dir


class _Row(msgspec.Struct):
    label: str | None = None
    features: tuple[float, ...] = ()


def calibrate(
    confidence: Annotated[
        Path | None, typer.Option("--confidence", help="JSON lines: questions with their right answers")
    ] = None,
    cloud_share: Annotated[
        float | None, typer.Option("--cloud-share", help="the share of requests that is to leave the box, as 0.2")
    ] = None,
    quality: Annotated[
        float | None,
        typer.Option("--quality", help="the share of answers on the box that is to be good enough, as 0.9"),
    ] = None,
    labelled: Annotated[
        Path | None, typer.Option("--labelled", help="its requests, JSON lines; default: the recorded decisions")
    ] = None,
    by_task: Annotated[bool, typer.Option("--by-task", help="a threshold for each task that has enough")] = False,
    write: Annotated[bool, typer.Option("--write", help="set the threshold in the settings file")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="the latest so many decisions")] = 10_000,
    hours: Annotated[float | None, typer.Option("--hours", min=0, help="only decisions of so many hours")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="the judged answers; default: a file of the state")
    ] = None,
    model: Annotated[str, typer.Option("--model", help="the model: local, or local/NAME of a [models.NAME]")] = LOCAL,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="tokens of an answer")] = 64,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="of the answers")] = 0.0,
    url: Annotated[str | None, typer.Option("--url", help="the runtime's address; default: the settings' own")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="the settings of the runtime")] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", "-c", min=1, max=1024, help="questions at once")] = 8,
    patience: Annotated[float, typer.Option("--patience", min=1, help="seconds without any answer, then stop")] = 300.0,
    restart: Annotated[bool, typer.Option("--restart", help="ask everything anew")] = False,
    json: Annotated[bool, typer.Option("--json", help="the result as JSON")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
) -> None:
    """Find thresholds for your own traffic: of the complexity, for a share or a quality, or of the early confidence.

    \b
    Examples:
      hearth calibrate --cloud-share 0.2
      hearth calibrate --cloud-share 0.2 --hours 168 --write
      hearth calibrate --cloud-share 0.2 --labelled prompts.jsonl --by-task
      hearth calibrate --quality 0.9
      hearth calibrate --confidence questions.jsonl
      hearth calibrate --confidence questions.jsonl --model local/small

    --cloud-share proposes `[escalation] complexity` from the recorded decisions, or from the lines of a file:
    {"prompt": …} or {"body": …}, with "weak" and "strong" where answers were graded. It asks no model, and needs no runtime.

    --quality proposes the same setting so that the given share of the answers that stay is good enough, by the judge's weeks
    and the golden cases. It asks no model either, and says how many labels are lacking where they are too few.

    --confidence measures how well the local model knows when it is right, and keeps the map of it. The running runtime's
    own model answers every question, or the one that --model names; nothing leaves the box. The map belongs to the model and
    its revision, and is in force at once. Interrupted, the same command resumes.

    \b
    A line of FILE is one of:
      {"prompt": "7 + 5 = ?", "answer": "12"}   or a list of answers
      {"prompt": "Praise or blame? …", "labels": ["praise", "blame"], "label": "blame"}
      {"body": {"messages": […]}, "answer": "Paris", "match": "exact"}
    "match" is contains (the default), exact, or number (the last one; the default for a number).
    Take a few hundred questions like your own traffic, of which the model answers 20 to 80 % right.
    """
    env = environment()
    if sum(each is not None for each in (confidence, cloud_share, quality)) != 1:
        raise CommandError("give one of: --cloud-share 0.2, --quality 0.9, --confidence questions.jsonl", Exit.USAGE)
    for name, share, does in (("cloud-share", cloud_share, propose), ("quality", quality, propose_quality)):
        if share is None:
            continue
        if not 0 < share < 1:
            raise CommandError(f"--{name} is a number between 0 and 1, as in 0.2 or 0.9", Exit.USAGE)
        if quality is not None and (labelled or by_task):
            raise CommandError("--labelled and --by-task go with --cloud-share", Exit.USAGE)
        return does(Wanted(share, labelled, limit, hours, by_task, write, config), env, as_json=json)
    assert confidence is not None
    settings, address = settings_from(config, env, keyless=True), address_of(url, config, env)
    models = models_of(settings, env)
    target = next((name for name in models if model in (name, name.removeprefix(f"{LOCAL}/"))), None)
    if target is None:
        raise CommandError(f"{model} is no model of this box: {', '.join(models)}", Exit.USAGE)
    calibrated = models[target]
    size, rows = _files(confidence, out, calibrated[0], state_dir(env))
    job = BulkJob(
        source=Source(confidence, FileFormat.JSONL, size, whole=True),
        out=rows,
        question=JudgingJob(target, max_tokens, temperature),
        url=address.url,
        key=address.key,
        socket=address.socket,
        concurrency=concurrency,
        patience_s=patience,
        restart=restart,
    )
    outcome = performed(job, "calibrate", quiet=quiet)
    if outcome.interrupted or outcome.stopped:
        words = f"{outcome.done.rows:,} of {outcome.total:,} questions are answered: {outcome.stopped or 'interrupted'}"
        raise CommandError(
            f"{words}; the same command resumes", Exit.INTERRUPTED if outcome.interrupted else Exit.FAILED
        )
    found, file = _kept(rows, calibrated, env, outcome)
    print(msgspec.json.encode(_summary(found, file, outcome)).decode() if json else _words(found, file, outcome))
    raise typer.Exit(Exit.FAILED if outcome.done.errors else Exit.OK)


def _files(questions: Path, out: Path | None, model: str, state: Path) -> tuple[int, Path]:
    """The size of the questions' file, and the file of the judged answers in a folder that is there. Raises CommandError."""
    try:
        size = questions.stat().st_size
        name = hashlib.sha256(f"{questions.resolve()}\n{model}".encode()).hexdigest()[:12]
        rows = out or maps_folder(state) / f"judged-{name}.jsonl"
        rows.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}", Exit.USAGE) from error
    return size, rows


def _kept(
    rows: Path, model: tuple[str, str], env: Mapping[str, str], outcome: BulkOutcome
) -> tuple[ConfidenceMap, Path]:
    """The map of the judged answers for a model and its revision, and its file. Raises CommandError, also for too few."""
    answers = [msgspec.json.decode(line, type=_Row) for line in rows.read_bytes().splitlines()]
    judged = [Judged(each.features, each.label == RIGHT) for each in answers if each.label is not None]
    try:
        found = fitted(judged, *model, time.time())
        return found, write_map(found, state_dir(env))
    except TooFewError as error:
        raise CommandError(f"{error}: give it more questions, or others{_bad(outcome)}", Exit.FAILED) from error
    except OSError as error:
        raise CommandError(f"the map cannot be written: {error}", Exit.FAILED) from error


def _bad(outcome: BulkOutcome) -> str:
    first = f"; the first now: {outcome.first_bad}" if outcome.first_bad else ""
    return f" ({outcome.done.errors:,} lines could not be used{first})" if outcome.done.errors else ""


def _summary(found: ConfidenceMap, file: Path, outcome: BulkOutcome) -> dict[str, Any]:
    """The result as JSON. auroc, error: measured on answers that the map was not fitted on."""
    return {
        "model": found.model,
        "revision": found.revision,
        "answers": found.rows,
        "right": found.right,
        "errors": outcome.done.errors,
        "auroc": found.auroc,
        "calibration_error": found.error,
        "confidence": {"least": found.shares[0], "most": found.shares[-1]},
        "map": str(file),
        "first_error": outcome.first_bad or None,
    }


def _words(found: ConfidenceMap, file: Path, outcome: BulkOutcome) -> str:
    return "\n".join(
        (
            f"{found.right:,} of {found.rows:,} answers of {found.model} are right{_bad(outcome)}",
            f"AUROC {found.auroc:.3f} (0.5: its first tokens say nothing), calibration error {found.error:.3f}",
            f"confidence goes from {found.shares[0]:.2f} to {found.shares[-1]:.2f}: "
            "set [escalation] confidence to the share of right answers below which a request leaves",
            f"the map is in {file}, in force at once for this model",
        )
    )
