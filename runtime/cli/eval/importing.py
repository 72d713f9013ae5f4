"""`hearth eval import`: a file of another evaluation tool as a golden set, with a list of what could not be taken."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml

from runtime.cli.exits import CommandError, Exit
from runtime.quality.golden.imports import inspect, openai, promptfoo
from runtime.quality.golden.imports.shared import Imported, NotTaken
from runtime.quality.golden.sets import SetError, bounded, found_files, read_set
from runtime.quality.golden.shipped import shipped_sets
from runtime.settings import SettingsError, load
from runtime.settings.environment import environment

_KINDS = {"openai": openai.KINDS, "inspect": inspect.KINDS}


def import_file(
    file: Annotated[Path, typer.Argument(help="The file of the other tool.")],
    *,
    source: Annotated[
        Literal["promptfoo", "openai", "inspect", "shipped"],
        typer.Option("--from", help="The tool it is of; shipped: a set of Hearth's own, FILE being its name."),
    ],
    how: Annotated[
        str,
        typer.Option(
            "--as", help="How answers match: match, includes, exact, fuzzy (openai), number or choice (inspect)."
        ),
    ] = "",
    prompt: Annotated[str, typer.Option(help="For a CSV of promptfoo: the prompt, with {{columns}} in it.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The set, .toml or .jsonl; default: golden/NAME.toml.")
    ] = None,
    task: Annotated[str, typer.Option(help="The task that the set guards.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a golden set from promptfoo, OpenAI evals or Inspect. What could not be taken is listed, line by line.

    \b
    Examples:
      hearth eval import samples.jsonl --from openai --as includes
      hearth eval import dataset.jsonl --from inspect --as choice
      hearth eval import promptfooconfig.yaml --from promptfoo -o golden/support.toml
      hearth eval import general --from shipped
    """
    if source == "shipped":
        say_written(copied(file.name, out, force=force), "yours to change")
        return
    place = out or Path("golden") / f"{file.stem}.toml"
    if place.suffix not in (".toml", ".jsonl"):
        raise CommandError(f"a golden set is TOML or JSONL: name it {place.with_suffix('.toml')}", Exit.USAGE)
    try:
        text = bounded(file)
    except (OSError, UnicodeError) as fault:
        raise CommandError(f"{file} cannot be read: {fault}") from fault
    found = taken(text, source, how, prompt, of_csv=file.suffix == ".csv")
    for each in found.untaken:
        print(f"{file}, {each}", file=sys.stderr)
    if not found.cases:
        raise CommandError(f"nothing in {file} could be taken")
    place = written(found, place, task, force=force)
    try:
        golden = read_set(place)
    except SetError as fault:
        raise CommandError(f"{place} was written, and has to be mended by hand:\n{fault}") from fault
    say_written(place, f"{len(golden.cases)} cases; {len(found.untaken)} things could not be taken")


def written(found: Imported, place: Path, task: str, *, force: bool) -> Path:
    """The file that was written: as its name says, or JSONL for what TOML cannot hold. Raises CommandError."""
    try:
        text = found.toml(place.stem, task) if place.suffix == ".toml" else found.jsonl(place.stem, task)
    except NotTaken as fault:
        place = place.with_suffix(".jsonl")
        print(f"{fault}: the set is JSONL, {place}", file=sys.stderr)
        text = found.jsonl(place.stem, task)
    write(place, text, force=force)
    return place


def say_written(place: Path, words: str) -> None:
    """Prints what was written, and the line of the settings that is lacking if no night would ask the file."""
    typer.echo(f"{place}: {words}")
    try:
        loaded = load(None, environment())
    except (SettingsError, OSError):
        return  # other commands name those faults
    sets = loaded.settings.quality.sets
    named = found_files(sets, loaded.file.parent if loaded.file else Path.cwd())
    if place.resolve() not in [each.resolve() for each in named]:
        wanted = json.dumps([*sets, str(place.with_stem("*"))])
        print(f"no night asks {place}, because the settings do not name it: [quality] sets = {wanted}", file=sys.stderr)


def copied(name: str, out: Path | None, *, force: bool) -> Path:
    """Writes a shipped set. Raises CommandError."""
    sets, place = shipped_sets(), out or Path("golden") / f"{name}.toml"
    if name not in sets:
        raise CommandError(f"no set {name!r} ships with Hearth; those that do are {', '.join(sets)}", Exit.USAGE)
    write(place, sets[name], force=force)
    return place


def write(place: Path, text: str, *, force: bool) -> None:
    """Writes a file, with its folder. Raises CommandError where it is there already, unless `force`."""
    if place.exists() and not force:
        raise CommandError(f"{place} is there already: --force writes over it")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")


def taken(text: str, source: str, how: str, prompt: str, *, of_csv: bool) -> Imported:
    """The cases of a file. Raises CommandError."""
    if source == "promptfoo":
        if of_csv:
            if not prompt:
                raise CommandError("a CSV has no prompt: give it with --prompt 'Answer this: {{question}}'", Exit.USAGE)
            return promptfoo.read_csv(text, prompt)
        try:
            document: Any = yaml.safe_load(text)
        except yaml.YAMLError as fault:
            raise CommandError(f"the file is no YAML: {fault}") from fault
        return promptfoo.read(document)
    if how not in _KINDS[source]:
        raise CommandError(f"say how answers match: --as {', '.join(_KINDS[source])}", Exit.USAGE)
    return openai.read(text, how) if source == "openai" else inspect.read(text, how, of_csv=of_csv)
