"""The settings file on a command line: `--config FILE`, or the path alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runtime.cli.exits import CommandError, Exit

FilePath = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The settings file, as --config.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="The file; left out: ./hearth.toml, else ~/.config/hearth/hearth.toml, else none."),
]


def settings_file(path: Path | None, config: Path | None) -> Path | None:
    """The file that was named, in either way. Raises CommandError where both name one."""
    if path is not None and config is not None:
        raise CommandError(f"the settings file is named twice: {path} and --config {config}", Exit.USAGE)
    return config if path is None else path
