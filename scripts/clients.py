"""The real clients that tests run against Hearth: `python -m scripts.clients [--ci] [NAME …]` installs them.

Each Python client has an environment of its own (scripts/locks/clients-*.txt), the JavaScript ones share one
(tests/clients/node/javascript, with its own Node.js), and each coding agent has its own beside it (`AGENTS`).
All at pinned versions, by hash. Knows where their programs are; what they are asked, the tests know. Standard library only.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from local_models.installer import progress
from local_models.installer.install import UnfitBoxError
from scripts import apart
from scripts.install import ROOT
from scripts.lock import CLIENTS

PACKAGES = ROOT / "tests" / "clients" / "node"
PYTHON = tuple(name.removeprefix("clients-") for name in CLIENTS)
JAVASCRIPT = "javascript"
# Agents that are one program, by their folder; where npm puts it.
AGENTS = {
    "claude_code": "@anthropic-ai/claude-code-*/claude",
    "codex": "@openai/codex-*/vendor/*/bin/codex",
    "opencode": "opencode-*/bin/opencode",
}
NAMES = (*PYTHON, JAVASCRIPT, *AGENTS)
# Few and telling enough for every run of `make test`.
IN_CI = ("openai", "anthropic", "claude_code", "codex")


def python_client(name: str) -> Path:
    """The interpreter that has the client; its scripts lie beside it."""
    return apart.python_environment(f"clients-{name}") / "bin" / "python"


def javascript() -> Path:
    """The folder whose node_modules has the JavaScript clients."""
    return apart.node_environment("clients-javascript", PACKAGES / JAVASCRIPT)


def node(folder: Path) -> Path:
    """The Node.js that was installed with the clients, else the system's. Raises UnfitBoxError where there is neither."""
    own = sorted(folder.glob("node_modules/node-*/bin/node"))
    found = str(own[0]) if own else shutil.which("node")
    if found is None:
        raise UnfitBoxError("node is missing, and npm has none for this machine: install Node.js 22 or newer")
    return Path(found)


def agent(name: str) -> Path:
    """The program of one of `AGENTS`. Raises UnfitBoxError where there is none for this machine."""
    folder = apart.node_environment(f"clients-{name.replace('_', '-')}", PACKAGES / name)
    found = sorted(folder.glob(f"node_modules/{AGENTS[name]}"))
    if not found:
        raise UnfitBoxError(f"{name} has no program for this machine in the package registry")
    return found[0]


INSTALL: Mapping[str, Callable[[], Path]] = {
    **{name: partial(python_client, name) for name in PYTHON},
    JAVASCRIPT: javascript,
    **{name: partial(agent, name) for name in AGENTS},
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.clients", description="Installs the clients of the tests.")
    parser.add_argument(
        "names", nargs="*", choices=(*NAMES, []), metavar="NAME", help=f"of {', '.join(NAMES)}; default: all"
    )
    parser.add_argument("--ci", action="store_true", help=f"only {', '.join(IN_CI)}")
    chosen = parser.parse_args()
    wanted = chosen.names or (IN_CI if chosen.ci else NAMES)
    # A machine without npm still runs the rest of `make test`; the tests that need it are skipped with the same words.
    return max(_installed(name, excused=chosen.ci) for name in wanted)


def _installed(name: str, *, excused: bool) -> int:
    """An exit code. excused: a machine that cannot have it is no failure."""
    try:
        INSTALL[name]()
    except (UnfitBoxError, progress.StepFailedError) as failed:
        print(f"\n{name}: {failed}", file=sys.stderr)
        return 0 if excused and isinstance(failed, UnfitBoxError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
