"""`hearth eval report`: an earlier run, shown again; or the judge's weeks."""

from __future__ import annotations

from typing import Annotated

import typer

from runtime.cli.eval.judge import JUDGE, show_judge
from runtime.cli.eval.run import FailUnder, Junit, Markdown, show
from runtime.cli.eval.runtime_of import Json, Url, runtime_at
from runtime.cli.settings_file import ConfigOption


def report(
    run: Annotated[
        str,
        typer.Argument(help="A run's id, or `judge` for the judge's weeks; left out: the latest run that is closed."),
    ] = "latest",
    *,
    fail_under: FailUnder = None,
    markdown_too: Markdown = False,
    junit_file: Junit = None,
    url: Url = None,
    config: ConfigOption = None,
    as_json: Json = False,
) -> None:
    """Show a run beside the one before it: who got worse at what, and which cases flipped. Or the judge: its agreement with the
    anchors, its biases and the win rates; `--fail-under` is then a share of anchors.

    \b
    Examples:
      hearth eval report
      hearth eval report eval_019 --markdown
      hearth eval report judge
    """
    address = runtime_at(url, config)
    if run == JUDGE:
        show_judge(address, as_json=as_json, as_markdown=markdown_too, fail_under=fail_under)
        return
    show(
        address,
        run,
        as_json=as_json,
        as_markdown=markdown_too,
        junit_file=junit_file,
        fail_under=fail_under,
    )
