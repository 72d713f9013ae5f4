"""`hearth eval compare`: a model and the one that is to follow it, on the same golden sets, with the line to change."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from runtime.cli.client import asked, settings_from
from runtime.cli.eval.runtime_of import RUNS, Json, Url, Yes, agreed, followed, runtime_at, sets_of
from runtime.cli.eval.shown import compared_lines
from runtime.cli.exits import Exit
from runtime.cli.paint import paint_for
from runtime.cli.settings_file import ConfigOption
from runtime.contract.targets import LOCAL
from runtime.quality.runs.report import Compared
from runtime.settings import Settings, TargetSettings
from runtime.settings.environment import environment

_OF_MODEL = frozenset(
    {"price", "modalities", "context_tokens", "max_output_tokens", "tools", "structured_output", "logprobs"}
)
_OF_ACCOUNT = frozenset({"key", "base_url", "api_version", "region", "certified"})


def compare(
    old: Annotated[str, typer.Argument(help="The model in use: a target's name or PROVIDER/MODEL.")],
    new: Annotated[str, typer.Argument(help="The model to follow it; it need not be configured, if its provider is.")],
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILES]", help="Files of golden sets.")] = None,
    *,
    repeats: Annotated[int, typer.Option(min=1, max=20, help="Ask each case so often.")] = 1,
    yes: Yes = False,
    url: Url = None,
    config: ConfigOption = None,
    as_json: Json = False,
) -> None:
    """Put two models side by side on the golden sets: quality, cost and latency, and what to change.

    \b
    Examples:
      hearth eval compare claude anthropic/claude-sonnet-6
    """
    wanted: dict[str, Any] = {"targets": [old, new], "repeats": repeats, "alike": True}
    if files:
        wanted["sets"] = msgspec.to_builtins(sets_of(files))
    settings = settings_from(config, environment())  # before anything is paid for
    address = runtime_at(url, config)
    agreed(address, wanted, yes=yes, targets=2)
    state = followed(address, wanted)
    found = asked(address, "GET", f"{RUNS}/{state.id}/compare", Compared)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    change = change_over(settings, found.old, found.new) if found.cases else []
    typer.echo("\n".join(compared_lines(found, change, paint_for(sys.stdout, environment()))))
    if not found.cases:
        raise typer.Exit(Exit.FAILED)


def change_over(settings: Settings, old: str, new: str) -> list[str]:
    """The lines of the settings that put the new model in the old one's place; none where no target has the old one.

    old, new: labels.
    """
    labels = {name: f"{target.provider}/{target.model}" for name, target in settings.targets.items()}
    before = [name for name, label in labels.items() if label == old]
    here = new.startswith(f"{LOCAL}/")
    after = LOCAL if here else next((name for name, label in labels.items() if label == new), None)
    if after is None:
        return [line for name in before for line in _retargeted(name, settings.targets[name], new)]

    def moved(names: Sequence[str]) -> str:
        return json.dumps(list(dict.fromkeys([after if each in before else each for each in names])))

    # Both are there: the new one's name takes the old one's place in the lists. Routes never name the engine.
    routes = {kind: names for kind, names in settings.routes if set(names) & set(before)}
    if here:
        routes = {kind: [each for each in names if each not in before] for kind, names in routes.items()}
    lines = [f"routes.{kind} = {moved(names)}" for kind, names in routes.items()]
    lines += [
        f"rules[{number}].to = {moved(rule.to)}"
        for number, rule in enumerate(settings.rules)
        if set(rule.to) & set(before)
    ]
    return lines + [
        f'aliases."{alias}" = "{after}"' for alias, name in settings.aliases.items() if name in (*before, old)
    ]


def _retargeted(name: str, target: TargetSettings, new: str) -> list[str]:
    """A target's table with another model. Settings of the old one's that may not hold any more are named."""
    provider, _, model = new.partition("/")
    own = _OF_MODEL if provider == target.provider else _OF_MODEL | _OF_ACCOUNT
    kept = sorted(own & target.model_fields_set)
    return [
        f"[targets.{name}]",
        *([] if provider == target.provider else [f'provider = "{provider}"']),
        f'model = "{model}"',
        *([f"# of the old model, and to be checked: {', '.join(kept)}"] if kept else []),
    ]
