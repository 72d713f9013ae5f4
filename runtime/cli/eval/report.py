"""`hearth eval report`: an earlier run, shown again."""

from __future__ import annotations

from typing import Annotated

import typer

from runtime.cli.eval.run import FailUnder, Junit, Markdown, show
from runtime.cli.eval.runtime_of import Json, Url, runtime_at
from runtime.cli.settings_file import ConfigOption


def report(
    run: Annotated[str, typer.Argument(help="A run's id; left out: the latest that is closed.")] = "latest",
    *,
    fail_under: FailUnder = None,
    markdown_too: Markdown = False,
    junit_file: Junit = None,
    url: Url = None,
    config: ConfigOption = None,
    as_json: Json = False,
) -> None:
    """Show a run beside the one before it: who got worse at what, and which cases flipped.

    \b
    Examples:
      hearth eval report
      hearth eval report eval_019 --markdown
    """
    show(
        runtime_at(url, config),
        run,
        as_json=as_json,
        as_markdown=markdown_too,
        junit_file=junit_file,
        fail_under=fail_under,
    )
