"""The console script. It loads the group of commands itself, so that Ctrl-C while modules load is one sentence too."""

from __future__ import annotations

import importlib
import sys

_GROUP = "runtime.cli.group"


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    try:
        importlib.import_module(_GROUP).main()
    except KeyboardInterrupt:
        sys.stderr.write("hearth: stopped\n")
        sys.exit(130)
