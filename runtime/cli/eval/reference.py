"""`hearth eval reference`: asks every case several times, as the reference that later nights are held against."""

from __future__ import annotations

from typing import Annotated

import typer

from runtime.cli.eval.run import Markdown, show
from runtime.cli.eval.runtime_of import Json, Targets, Url, Yes, agreed, followed, runtime_at
from runtime.cli.settings_file import ConfigOption


def reference(
    *,
    runs: Annotated[int, typer.Option(min=1, max=20, help="Ask each case so often; the detector needs five.")] = 5,
    target: Targets = None,
    yes: Yes = False,
    url: Url = None,
    config: ConfigOption = None,
    markdown_too: Markdown = False,
    as_json: Json = False,
) -> None:
    """Take the reference now. Left alone, the first five nights become it; spread over three nights it is better.

    \b
    Examples:
      hearth eval reference --runs 5
      hearth eval reference --runs 2 --target local
    """
    wanted = {"targets": target or [], "repeats": runs, "kind": "reference"}
    address = runtime_at(url, config)
    agreed(address, wanted, yes=yes)
    state = followed(address, wanted)
    show(address, state.id, as_json=as_json, as_markdown=markdown_too)
