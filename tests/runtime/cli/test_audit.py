"""`hearth audit` on a state folder: the words of its records, its verdict and its exit code."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runtime.cli.audit import app
from runtime.trust.audit.chain import segments
from runtime.trust.audit.log import AuditLog


@pytest.fixture
def folder() -> Path:
    """The audit log of the test's state folder: an answer of the engine, and one that nobody gave."""
    made = Path(os.environ["HEARTH_STATE_DIR"]) / "audit"
    answers: tuple[dict[str, object], ...] = (
        {"target": "local/small", "on_box": True, "status": 200},
        {"target": "", "on_box": None, "status": 403},
    )
    rows: list[dict[str, object]] = [
        {"decision": f"dec_{place}", "requires": ["hipaa"], **each} for place, each in enumerate(answers)
    ]
    log = AuditLog(made)
    log.start()
    for row in rows:
        log.note("answer", row)
    log.close(20.0)
    return made


def test_records_are_shown_newest_first(folder: Path) -> None:
    """Which request, by whom, its demands; one that failed was answered by nobody."""
    lines = CliRunner().invoke(app, ["show"]).stdout.splitlines()
    assert lines[0].endswith("dec_1 not answered (403), requires hipaa")
    assert lines[1].endswith("dec_0 answered by local/small on this machine (200), requires hipaa")
    shown = CliRunner().invoke(app, ["show", "--decision", "dec_0", "--json"]).stdout.splitlines()
    assert [json.loads(line)["body"]["decision"] for line in shown] == ["dec_0"]


def test_the_verdict_is_an_exit_code_too(folder: Path) -> None:
    """0 while nobody touched the log, 1 from the first record that was changed."""
    sound = CliRunner().invoke(app, ["verify"])
    assert (sound.exit_code, sound.stdout) == (0, "records 1 to 3: intact\n")
    path = segments(folder)[0]
    path.write_bytes(path.read_bytes().replace(b"local/small", b"cloud/other"))
    changed = CliRunner().invoke(app, ["verify"])
    assert changed.exit_code == 1 and "not intact from record 2" in changed.stdout
