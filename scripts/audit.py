"""Holds every lock against the list of known vulnerabilities: `make audit`. Needs the network; sends names and versions.

Exit 0: nothing is known. 1: something is, or a package is not on the list, so that nobody can say.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local_models.installer.places import LOCKS as ENGINE_LOCKS
from scripts.apart import python_environment
from scripts.lock import LOCKS

# What only a benchmark compares with is audited too: it runs on the developer's machine.
EVERY = (*sorted(LOCKS.glob("*.txt")), *sorted(ENGINE_LOCKS.glob("*.txt")))


def findings(report: dict[str, Any]) -> Iterator[str]:
    """A line for each vulnerability and each package that could not be looked up. report: pip-audit's JSON."""
    for package in report["dependencies"]:
        name = f"{package['name']} {package.get('version', '')}".rstrip()
        if "skip_reason" in package:
            yield f"{name}: not audited: {package['skip_reason']}"
        for each in package.get("vulns", ()):
            mended = ", ".join(each["fix_versions"]) or "no version yet"
            yield f"{name}: {each['id']}, mended in {mended}"


def audit(program: Path, lock: Path) -> list[str]:
    """The findings of one lock, whose pins are read as they are: nothing is resolved, nothing is installed."""
    unresolved = ["--disable-pip", "--no-deps", "--progress-spinner", "off", "--format", "json"]
    words = [str(program), "--requirement", str(lock), *unresolved]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    if not ended.stdout:
        return [f"not audited: {(ended.stderr.strip().splitlines() or ['no answer'])[-1]}"]
    return list(findings(json.loads(ended.stdout)))


def main() -> int:
    program = python_environment("release-audit") / "bin" / "pip-audit"
    clean = True
    for lock in EVERY:
        found = audit(program, lock)
        clean = clean and not found
        print(f"{lock.stem}: {'nothing is known' if not found else len(found)}", *found, sep="\n  ", flush=True)
    return 0 if clean else 1


if __name__ == "__main__":
    raise SystemExit(main())
