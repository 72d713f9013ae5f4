"""The files of the state folder: each released layout is read, newer ones refused, damaged ones named and moved aside."""

from __future__ import annotations

import fcntl
import io
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from runtime.batch.database import BatchDatabase
from runtime.cli.group import run
from runtime.cli.state_files import DATABASES, fault_of, repaired, state_rows
from runtime.compose.door import access_policy
from runtime.conversations.file import ResponseFile
from runtime.conversations.limits import ON_DISK
from runtime.money.spent_file import BudgetLine, SpentFile
from runtime.quality.sample.file import SampleFile
from runtime.record.database import Database, Query, read_many
from runtime.settings import Settings
from runtime.trust.key_store import KeyStore, KeyTerms
from runtime.trust.keys import Keys

RELEASED = sorted(Path(__file__).with_name("released").iterdir())
NOW = 1_795_900_000.0  # when the rows were written
KEY = "hearth-SaHMax-HshhtcUcgVQE5pus-dSDBM8j-TZVsnCO54aY"  # of no box


def budget(folder: Path) -> None:
    """Half a cent was settled; two cents were not, and count in full."""
    assert SpentFile(folder / "budget.sqlite3").load("2020-01-01") == {BudgetLine("2026-11-29", ""): 25_000}


def keys(folder: Path) -> None:
    caller = Keys((), created=KeyStore(folder, lambda: NOW).admissions()).admit({"x-api-key": KEY})
    assert caller.id == "key_935b42902c9fe1bb"


def batches(folder: Path) -> None:
    database = BatchDatabase(folder)
    found = database.batch("batch_1", "key_1")
    assert found is not None and (found.counts.total, found.counts.succeeded) == (2, 1)
    assert [line.custom_id for line in database.pending("batch_1", 10)] == ["b"]
    assert [file.id for file in database.files("key_1")] == ["file-1"]
    database.close()


def responses(folder: Path) -> None:
    file = ResponseFile(folder / "responses.sqlite3", lambda: NOW, ON_DISK)
    assert file.get("resp_1", "key_1") is not None
    file.close()


def decisions(folder: Path) -> None:
    path = folder / "decisions.sqlite3"
    Database(path, max_bytes=1 << 20).close()
    assert [each.target for each in read_many(path, Query(), lambda fault: None)] == ["local/m"]


def sample(folder: Path) -> None:
    assert [row.text for row in SampleFile(folder).rows()] == ["yes"]


READERS: dict[str, Callable[[Path], None]] = {
    "budget": budget,
    "keys": keys,
    "batches": batches,
    "responses": responses,
    "decisions": decisions,
    "sample": sample,
}


def restored(version: Path, name: str, folder: Path) -> Path:
    path = folder / f"{name}.sqlite3"
    with closing(sqlite3.connect(path)) as file:
        file.executescript((version / f"{name}.sql").read_text())
    return path


@pytest.mark.parametrize("version", RELEASED, ids=lambda each: each.name)
@pytest.mark.parametrize("name", READERS)
def test_the_file_of_a_released_version_is_read(tmp_path: Path, version: Path, name: str) -> None:
    """With all that stood in it, and more than once."""
    path = restored(version, name, tmp_path)
    READERS[name](tmp_path)
    if name != "budget":  # what was not settled is settled then
        READERS[name](tmp_path)
    assert fault_of(path) is None


@pytest.mark.parametrize("name", READERS)
def test_the_file_of_a_newer_version_is_left_alone(tmp_path: Path, name: str) -> None:
    """It is refused by a sentence, and not changed: the newer version will want it."""
    path = restored(RELEASED[-1], name, tmp_path)
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 99")
    with pytest.raises(Exception, match=r"newer|layout"):
        READERS[name](tmp_path)
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA user_version").fetchone()[0] == 99


@pytest.mark.parametrize("name", DATABASES)
def test_a_damaged_file_is_named_and_moved_aside(tmp_path: Path, name: str) -> None:
    """With what is lost by it. The old bytes are kept, and the next look finds nothing wrong."""
    (tmp_path / name).write_bytes(b"no database" * 1000)
    (row,) = state_rows(tmp_path)
    assert (row.check, row.verdict) == (name, "fail") and "--repair" in row.todo and DATABASES[name] in row.todo
    (line,) = repaired(tmp_path)
    assert name in line and "\n" not in line
    assert (tmp_path / f"{name}.damaged").read_bytes() == b"no database" * 1000
    assert [each.verdict for each in state_rows(tmp_path)] == ["ok"] and list(repaired(tmp_path)) == []


def test_no_other_user_may_read_a_file_of_the_state(tmp_path: Path) -> None:
    """Whatever the umask is, and although the folder itself may be open to others."""
    before = os.umask(0o022)
    try:
        BatchDatabase(tmp_path).close()
        ResponseFile(tmp_path / "responses.sqlite3", lambda: NOW, ON_DISK).close()
        Database(tmp_path / "decisions.sqlite3", max_bytes=1 << 20).close()
        SpentFile(tmp_path / "budget.sqlite3").load("2020-01-01")
        KeyStore(tmp_path, lambda: NOW).create(KeyTerms(name="ci"))
    finally:
        os.umask(before)
    places = [tmp_path / "files", *tmp_path.glob("*.sqlite3*")]
    assert len(places) >= 6
    assert {stat.S_IMODE(each.stat().st_mode) & 0o077 for each in places} == {0}


def test_a_page_that_is_damaged_is_found_too(tmp_path: Path) -> None:
    """The beginning of the file is whole."""
    path = restored(RELEASED[-1], "batches", tmp_path)
    content = bytearray(path.read_bytes())
    content[4096 + 100 : 8192] = b"\xff" * (4096 - 100)
    path.write_bytes(content)
    assert fault_of(path) is not None


def test_the_door_stays_closed_when_the_keys_are_lost(tmp_path: Path) -> None:
    """Damaged or moved aside: a box that once had keys never opens."""
    (tmp_path / "keys.sqlite3").write_bytes(b"no database" * 1000)
    assert not access_policy(Settings(), tmp_path).keys.open
    list(repaired(tmp_path))
    assert not access_policy(Settings(), tmp_path).keys.open
    _, secret = KeyStore(tmp_path, lambda: NOW).create(KeyTerms(name="ci"))
    assert access_policy(Settings(), tmp_path).keys.admit({"x-api-key": secret})


def test_doctor_repairs_where_no_runtime_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It touches nothing that a runtime uses."""
    monkeypatch.setenv("HEARTH_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("HEARTH_ENGINE__URL", '["http://127.0.0.1:1/v1"]')
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "budget.sqlite3"
    path.write_bytes(b"no database" * 1000)
    with (tmp_path / "lock").open("w") as lock:
        lock.write("77")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        err = io.StringIO()
        assert run(["doctor", "--repair"], io.StringIO(), err) == 1
        assert "process 77" in err.getvalue() and path.exists()
    run(["doctor", "--repair"], io.StringIO(), err)
    assert not path.exists() and "budget.sqlite3.damaged" in err.getvalue() + capfd.readouterr().err
