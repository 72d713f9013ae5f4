"""The audit of the locks: what counts as a finding."""

from __future__ import annotations

import stat
from pathlib import Path

from scripts import audit

VULNERABLE = """{"dependencies": [{"name": "a", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]},
 {"name": "b", "skip_reason": "not on the list"}, {"name": "c", "version": "2", "vulns": []}], "fixes": []}"""


def program(folder: Path, text: str) -> Path:
    """A stand-in for the auditor that says `text` and ends with 1."""
    made = folder / "auditor"
    made.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit 1\n")
    made.chmod(made.stat().st_mode | stat.S_IXUSR)
    return made


def test_a_vulnerability_and_a_package_that_nobody_knows_are_findings(tmp_path: Path) -> None:
    """What could not be looked up is never taken for clean."""
    found = audit.audit(program(tmp_path, VULNERABLE), tmp_path / "lock.txt")
    assert found == ["a 1.0: PYSEC-1, mended in 1.1", "b: not audited: not on the list"]


def test_an_auditor_that_fails_is_a_finding(tmp_path: Path) -> None:
    """No report is not a clean report."""
    silent = tmp_path / "auditor"
    silent.write_text("#!/bin/sh\necho 'no network' >&2\nexit 1\n")
    silent.chmod(0o755)
    assert audit.audit(silent, tmp_path / "lock.txt") == ["not audited: no network"]


def test_every_lock_is_audited() -> None:
    """The package's, the engines', the tools'."""
    assert {"core", "dev", "engine-cpu", "engine-cuda", "release-audit"} <= {lock.stem for lock in audit.EVERY}
