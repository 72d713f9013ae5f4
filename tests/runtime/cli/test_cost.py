"""`hearth cost` on the state folder where no runtime runs, and through one that does."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from pathlib import Path

import msgspec
import pytest

from runtime.cli import client
from runtime.cli.exits import Exit
from runtime.cli.group import run
from runtime.compose.state import lock_state
from runtime.record.cost_report import CostReport
from runtime.record.database import Database
from runtime.record.decisions import Decision, Exchange, floor_of
from runtime.record.sums import Tally

SETTINGS = """
[targets.gpt]
provider = "openai"
model = "house-model"
price = { input = 10.0, output = 20.0 }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with one cheap answer and one failed exchange, and settings with one target in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    (tmp_path / "hearth.toml").write_text(SETTINGS)
    made = Path(os.environ["HEARTH_STATE_DIR"])
    now = time.time()
    tried = (
        Exchange("gemini/g", "api", 0.0, 1.0, outcome="busy", status=429),
        Exchange("openai/x", "api", 0.0, 1.0, prompt_tokens=1000, completion_tokens=100, cost_usd=0.002),
    )
    row = Decision(id=f"dec_{floor_of(now):016x}", at=now, dialect="d", model="auto", target="openai/x", attempts=tried)
    file = Database(made / "decisions.sqlite3", max_bytes=1 << 24)
    file.save([row], Tally(), {})
    file.close()
    return made


def cost(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    err = io.StringIO()
    code = run(("cost", *arguments), io.StringIO(), err)
    return code, capsys.readouterr().out + err.getvalue()


def test_the_table_names_what_it_counts_and_what_it_leaves_out(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One baseline with its price, the reliability of each target by day, and what no price is known for."""
    code, out = cost(capsys)
    assert code == Exit.OK
    assert "The same tokens on openai/house-model at the price of the settings: $0" in out
    assert "$10 and $20 for a million tokens in and out" in out
    assert "openai/x" in out and "$0.0020" in out and "Not counted: searches" in out
    (fault,) = [line for line in out.splitlines() if line.startswith("gemini/g 20")]
    assert fault.split()[2:6] == ["1", "0.0%", "1", "1"]


def test_a_hearth_of_a_fleet_says_that_the_others_have_reports_of_their_own(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "other Hearths" not in cost(capsys)[1]
    monkeypatch.setenv("HEARTH_FLEET__STORE", "valkey://store:6379/0")
    assert "These are the requests of this Hearth: what the other Hearths" in cost(capsys)[1]


def test_csv_and_json_are_for_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line of the CSV has the head's columns, the sums stand once, and what is not known is empty."""
    code, out = cost(capsys, "--csv", "--days", "2")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == Exit.OK and sum(float(row["cost_usd"] or 0) for row in rows) == pytest.approx(0.002)
    assert {row["target"] for row in rows} == {"openai/x", "gemini/g"} and all(None not in row for row in rows)
    assert sum(int(row["rate_limited"] or 0) for row in rows) == 1
    report = json.loads(cost(capsys, "--by", "day", "--json")[1])
    assert (report["by"], len(report["rows"]), report["total"]["requests"]) == ("day", 1, 1)
    assert "day,requests" in cost(capsys, "--by", "day", "--csv")[1]


def test_days_that_make_no_sense_end_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the exit code of a wrong command line."""
    assert cost(capsys, "--from", "yesterday")[0] == Exit.USAGE
    assert cost(capsys, "--from", "2026-02-01", "--to", "2026-01-01")[0] == Exit.USAGE
    assert cost(capsys, "--csv", "--json")[0] == Exit.USAGE
    (folder / "decisions.sqlite3").write_bytes(b"no database" * 1000)
    code, out = cost(capsys)
    assert code == Exit.FAILED and "cannot be read" in out


def test_a_running_runtime_is_asked(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder is locked; the question goes to its address, with the folder's admin key."""
    asked_for: list[tuple[str, str | None]] = []

    def answered(address: client.Address, method: str, path: str, kind: type) -> object:
        asked_for.append((path, address.key))
        return json_report

    json_report = msgspec.json.decode(cost(capsys, "--json", "--by", "key")[1], type=CostReport)
    monkeypatch.setattr("runtime.cli.cost.asked", answered)
    with lock_state(folder):
        code, out = cost(capsys, "--by", "key", "--days", "7")
    assert code == Exit.OK and "no key" in out
    assert asked_for == [("/hearth/cost?by=key&days=7", (folder / "admin.key").read_text().strip())]
