"""`hearth explain`: the plan for a prompt and its reasons. Sends nothing, and opens no socket except with `--live`.

Without `--live` the plan is made here, from the settings, for an idle engine; with it a running runtime makes it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TextIO

import msgspec
import typer

from runtime.cli.cases import BadLine, Case, dialect_of, prompt_body, read_lines, request_body, result_line
from runtime.cli.client import address_of, answer_of, client, faults_in_words, settings_from
from runtime.cli.exits import CommandError, Exit
from runtime.cli.paint import Cell, Paint, columns, paint_for
from runtime.cli.streams import as_text
from runtime.compose.confidence import read_maps
from runtime.compose.targets import offline_planner
from runtime.routing.facts.hints import BadHint
from runtime.routing.plan.names import AUTO
from runtime.server.pages.explain import explained
from runtime.settings import Settings
from runtime.settings.environment import environment, state_dir
from runtime.wire.raw_body import BadBody, RawBody

Explainer = Callable[[RawBody], Mapping[str, Any]]
"""An explanation as `/hearth/explain` writes it. Raises BadBody, BadHint, CommandError."""

_encode = msgspec.json.Encoder().encode


def explain(
    *,
    prompt: Annotated[str | None, typer.Argument(help="A prompt, as one user message.")] = None,
    file: Annotated[str | None, typer.Option("--file", "-f", help="A request body in JSON; - reads stdin.")] = None,
    batch: Annotated[
        str | None, typer.Option(help='Lines of {"id","prompt"} or {"id","body"}; - reads stdin. One JSON line each.')
    ] = None,
    model: Annotated[str, typer.Option(help="The model a prompt asks for.")] = AUTO,
    requires: Annotated[
        list[str] | None, typer.Option(help="What the answerer of a prompt must be certified for.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Ask the running runtime, with its load as it is now.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The explanation as JSON.")] = False,
    url: Annotated[str | None, typer.Option(help="Where the runtime is, for --live.")] = None,
    config: Annotated[Path | None, typer.Option(help="The settings file.")] = None,
) -> None:
    """Show where a prompt would go, why, and what else was considered. Generates nothing and needs no engine."""
    if sum(given is not None for given in (prompt, file, batch)) != 1:
        raise CommandError('give one of: a prompt ("…"), --file request.json, --batch prompts.jsonl', Exit.USAGE)
    env = environment()
    with ExitStack() as stack:
        explainer = _live(stack, url, config, env) if live else offline(settings_from(config, env, keyless=True), env)
        if batch is not None:
            bad = explain_lines(_open(stack, batch), model, explainer, sys.stdout)
            sys.stdout.flush()
            if bad:
                lines = "line was" if bad == 1 else "lines were"
                raise CommandError(f"{bad} {lines} bad; each error stands in its place", Exit.FAILED)
        else:
            try:
                if prompt is not None:
                    body = prompt_body(as_text(prompt), as_text(model), requires or ())
                else:
                    body = request_body(_open(stack, file or "-").read())
                shown = explainer(body)
            except (BadBody, BadHint) as fault:
                name = "" if prompt is not None else f"{file}: "
                raise CommandError(f"{name}the request would be refused (400): {fault}", Exit.FAILED) from fault
            sys.stdout.write(_encode(shown).decode() + "\n" if as_json else describe(shown, paint_for(sys.stdout, env)))


def offline(settings: Settings, env: Mapping[str, str]) -> Explainer:
    """An explainer that plans in this process, for an idle engine, with the confidence map in the state folder."""
    known = read_maps(settings, env, state_dir(env)) if settings.escalation.confidence else None
    planner = offline_planner(settings, confidence=known)

    def explain_one(body: RawBody) -> Mapping[str, Any]:
        return explained(planner.explain(dialect_of(body).name, body.data, {}))

    return explain_one


def _live(stack: ExitStack, url: str | None, config: Path | None, env: Mapping[str, str]) -> Explainer:
    address = address_of(url, config, env)
    stack.enter_context(faults_in_words(address))
    http = stack.enter_context(client(address))

    def explain_one(body: RawBody) -> Mapping[str, Any]:
        reply = http.post("/hearth/explain", content=body.raw, headers={"content-type": "application/json"})
        return answer_of(reply, dict[str, Any])

    return explain_one


def explain_lines(lines: Iterable[bytes], model: str, explainer: Explainer, out: TextIO) -> int:
    """Writes one result per line, in order; returns the number of bad lines."""
    bad = 0
    for case in read_lines(lines, model):
        written: Mapping[str, Any] | BadLine
        try:
            written = case if isinstance(case, BadLine) else result_line(case.id, explainer(case.body))
        except (BadBody, BadHint, CommandError) as fault:
            if isinstance(fault, CommandError) and fault.exit is not Exit.REFUSED:
                raise
            assert isinstance(case, Case)
            written = BadLine(case.number, str(fault))
        bad += isinstance(written, BadLine)
        out.write(_encode(written).decode() + "\n")
    return bad


def _open(stack: ExitStack, file: str) -> BinaryIO:
    try:
        return sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))
    except OSError as fault:
        raise CommandError(f"{file} cannot be read: {fault.strerror}", Exit.USAGE) from fault


def describe(shown: Mapping[str, Any], paint: Paint) -> str:
    """The explanation for a person."""
    refused = shown.get("refusal")
    head = (
        f"{paint('refused', 'red')} ({refused['status']} {refused['code']}): {refused['message']}"
        if refused
        else f"{paint(shown['target'], 'bold')}  {paint(shown['reason'], 'cyan')}  {shown['words']}"
    )
    rows: list[tuple[Cell, ...]] = [
        ((f"{at}.", "dim"), (each["target"], "bold"), (each["reason"], "cyan"), (each["words"], ""))
        for at, each in enumerate(shown["candidates"], 1)
    ]
    rows += [
        (("-", "dim"), *((each[key], "dim") for key in ("target", "reason", "words"))) for each in shown["considered"]
    ]
    table = columns(rows, paint)
    notes = [paint(f"degraded: {', '.join(shown['degraded'])}", "yellow")] if shown["degraded"] else []
    notes += [f"advice: {shown['advice']}"] if shown.get("advice") else []
    rest = [
        (("facts", "dim"), (facts_in_words(shown), "")),
        (("load", "dim"), (load_in_words(shown.get("load") or {}), "")),
        *(
            (
                ("nearest" if not at else "", "dim"),
                (f"{each['input']}: {each['target'] or 'refused'}, {each['reason']}", ""),
            )
            for at, each in enumerate(shown.get("would_change", ()))
        ),
        (("task", "dim"), (shown["task"], "bold")),
    ]
    return "\n".join((head, *table, *notes, *columns(rest, paint), score_in_words(shown), ""))


def facts_in_words(shown: Mapping[str, Any]) -> str:
    """The facts: "about 12 tokens, text, language en, tools, requires hipaa"."""
    facts = shown.get("facts") or {}
    said = [f"about {shown['prompt_tokens']} prompt tokens", *facts.get("modalities", ())]
    said += [f"language {facts['language']}"] if facts.get("language") else []
    said += [name for name in ("tools", "structured") if facts.get(name)]
    said += [f"at most {facts['max_tokens']} tokens of answer"] if facts.get("max_tokens") is not None else []
    return ", ".join([*said, *(f"requires {name}" for name in facts.get("requires", ()))])


def load_in_words(load: Mapping[str, Any]) -> str:
    """The engine's load: the crossed threshold, else each value against its own."""
    if load.get("words"):
        return str(load["words"])
    shares = ", ".join(f"{name} at {ratio:.0%} of its threshold" for name, ratio in load.get("ratios", {}).items())
    return shares or ("idle" if load.get("ready", 1) else "the engine is not ready")


def score_in_words(shown: Mapping[str, Any]) -> str:
    """The score, its threshold and the words that moved it most."""
    threshold = shown.get("threshold")
    limit = f"leaves at {threshold:g}" if threshold is not None else "no score sends it away"
    words = ", ".join(f"{each['word']} {each['weight']:+.2f}" for each in shown.get("moving_words", ()))
    asked = "\nnear the threshold: the local model will be asked, and decides" if shown.get("undecided") else ""
    return f"score {shown['score']:.2f} ({limit})" + (f", moved most by {words}" if words else "") + asked
