"""The audit log: its chain shows every change, and names what is none."""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from runtime.trust.audit.chain import HEAD, KEY, mac_of, opened, segments
from runtime.trust.audit.show import latest
from runtime.trust.audit.verify import verify
from tests.runtime.trust.audit.logs import Machine, kinds


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "audit")


def test_a_log_that_nobody_touched_is_intact(machine: Machine) -> None:
    """Over two runs; the start of each is a record too."""
    machine.write(3)
    machine.write(2)
    found = machine.verdict()
    assert (found.intact, found.records, found.first, found.last, found.head, found.findings) == (True, 7, 1, 7, 7, ())
    assert [each.kind for each in latest(machine.folder, 3)] == ["answer", "answer", "start"]
    assert [each.n for each in latest(machine.folder, 9, decision="dec_2")] == [4]


def test_a_changed_record_is_named(machine: Machine) -> None:
    """One byte of a record in the middle."""
    machine.write(6)
    lines = machine.lines()
    lines[3] = lines[3].replace(b"local/small", b"cloud/other")
    machine.put(lines)
    found = machine.verdict()
    assert (found.intact, found.first_bad, kinds(found)) == (False, 4, ["changed"])


def test_a_record_that_is_sealed_anew_is_named(machine: Machine) -> None:
    """Whoever computes all later hashes again does not have the key."""
    machine.write(6)
    lines, prev = machine.lines(), ""
    for at in range(3, len(lines)):
        entry = opened(lines[at].rstrip(b"\n"), None)[0]
        entry = msgspec.structs.replace(entry, prev=prev or entry.prev, body={"decision": "dec_9", "target": "x/y"})
        content = msgspec.json.encode(entry)
        prev = hashlib.sha256(content).hexdigest()
        lines[at] = content[:-1] + b',"hash":"%b","mac":"%b"}\n' % (prev.encode(), b"0" * 32)
    machine.put(lines)
    assert machine.verdict().first_bad == 4
    (machine.folder / KEY).unlink()
    assert "changed" in kinds(machine.verdict()), "the head has another hash"


def test_a_removed_record_is_named(machine: Machine) -> None:
    """The first that is missing."""
    machine.write(6)
    lines = machine.lines()
    machine.put(lines[:2] + lines[4:])
    found = machine.verdict()
    assert (found.intact, found.first_bad, kinds(found)) == (False, 3, ["removed"])


def test_the_first_records_may_not_be_missing(machine: Machine) -> None:
    """Unless a later record says that their time was over."""
    machine.write(4)
    machine.put(machine.lines()[2:])
    assert (machine.verdict().first_bad, kinds(machine.verdict())) == (1, ["removed"])


def test_reordered_records_are_named(machine: Machine) -> None:
    """Two that changed places."""
    machine.write(6)
    lines = machine.lines()
    lines[3], lines[4] = lines[4], lines[3]
    machine.put(lines)
    found = machine.verdict()
    assert (found.intact, found.first_bad, set(kinds(found))) == (False, 4, {"reordered"})


def test_a_cut_off_end_is_named(machine: Machine) -> None:
    """By the head, also after the runtime has written more behind it."""
    machine.write(6)
    machine.put(machine.lines()[:-2])
    found = machine.verdict()
    assert (found.intact, found.first_bad, kinds(found)) == (False, 6, ["cut_off"])
    machine.write(3)
    found = machine.verdict()
    assert (found.intact, found.first_bad, kinds(found)) == (False, 6, ["cut_off"])


def test_a_forged_head_is_named(machine: Machine) -> None:
    """One that was lowered to the end of a cut file, one that is no head, and none."""
    machine.write(6)
    lines = machine.lines()
    machine.put(lines[:-2])
    path = machine.folder / HEAD
    head = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(head | {"n": 5, "hash": opened(lines[4].rstrip(b"\n"), None)[1]}))
    assert kinds(machine.verdict()) == ["forged"]
    path.write_bytes(b"{")
    assert kinds(machine.verdict()) == ["forged"]
    path.unlink()
    assert kinds(machine.verdict()) == ["forged"]


def test_a_clock_that_jumps_is_named_and_is_no_tampering(machine: Machine) -> None:
    """Forward and back, while the machine runs."""
    machine.write(2)
    machine.at += 3600
    machine.write(1)
    machine.at -= 7200
    machine.write(1)
    found = machine.verdict()
    assert (found.intact, kinds(found)) == (True, ["clock", "clock"])
    assert "forward by 3600 s" in found.findings[0].words and "back by 7200 s" in found.findings[1].words


def test_a_reboot_is_named_and_is_no_tampering(machine: Machine) -> None:
    """A machine that was off for an hour has jumped no clock; one whose clock went back meanwhile has."""
    machine.write(2)
    machine.boot, machine.up, machine.at = "second", 5.0, machine.at + 3600
    machine.write(1)
    found = machine.verdict()
    assert (found.intact, kinds(found)) == (True, ["reboot"])
    machine.boot, machine.up, machine.at = "third", 5.0, machine.at - 86_400
    machine.write(1)
    assert kinds(machine.verdict()) == ["reboot", "reboot", "clock"]


def test_a_restored_backup_is_named_and_is_no_tampering(machine: Machine, tmp_path: Path) -> None:
    """An older copy of the segment in the place of the newer one: before and after the next start."""
    machine.write(3)
    backup = shutil.copy2(machine.file, tmp_path / "backup")
    machine.write(3)
    machine.file.unlink()
    shutil.copy2(backup, segments_name(machine))
    found = machine.verdict()
    assert (found.intact, kinds(found)) == (True, ["restored"])
    assert "records 5 to 8" in found.findings[0].words
    machine.write(2)
    found = machine.verdict()
    assert (found.intact, kinds(found)) == (True, ["restored"])
    assert "records 5 to 8" in found.findings[0].words


def test_a_restored_folder_is_named(machine: Machine, tmp_path: Path) -> None:
    """Head and key came back with it: the file is another one than the head was written for."""
    machine.write(3)
    shutil.copytree(machine.folder, tmp_path / "backup")
    elsewhere = shutil.copy2(machine.folder / HEAD, tmp_path / "head.json")
    machine.write(3)
    newer = shutil.copy2(machine.folder / HEAD, tmp_path / "newer.json")
    shutil.rmtree(machine.folder)
    shutil.copytree(tmp_path / "backup", machine.folder)
    assert [each.kind for each in verify(machine.folder, Path(newer)).findings] == ["restored"]
    assert kinds(verify(machine.folder, Path(elsewhere))) == kinds(machine.verdict()) == ["restored"]
    machine.write(1)
    found = machine.verdict()
    assert (found.intact, kinds(found)) == (True, ["restored"])


def segments_name(machine: Machine) -> Path:
    return machine.folder / "audit-000001.jsonl"


def test_a_record_that_a_crash_cut_is_named_and_is_no_tampering(machine: Machine) -> None:
    """Half a line at the end is taken away at the next start, which says so."""
    machine.write(2)
    with machine.file.open("ab") as file:
        file.write(b'{"n":4,"at"')
    machine.write(1)
    found = machine.verdict()
    assert (found.intact, kinds(found)) == (True, ["torn"])


def test_records_after_the_head_are_named_and_are_no_tampering(machine: Machine) -> None:
    """A crash between the record and the head."""
    machine.write(2)
    head = (machine.folder / HEAD).read_bytes()
    machine.write(1)
    (machine.folder / HEAD).write_bytes(head)
    found = machine.verdict()
    assert (found.intact, kinds(found)) == (True, ["unsigned"])


def test_what_was_lost_is_named_by_the_next_record(machine: Machine) -> None:
    """The queue is bounded, and counts what it drops."""
    log = machine.log(most_waiting=10)
    for n in range(25):
        log.note("answer", {"decision": f"dec_{n}"})
    log.trim()
    log.start()
    assert log.flush(30)
    log.close(30)
    found = machine.verdict()
    assert (found.intact, found.records, kinds(found)) == (True, 12, ["gap"])
    assert "15 records" in found.findings[0].words


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_said(machine: Machine) -> None:
    """Once, while records wait in memory; they are written when it can be written again."""
    machine.folder.mkdir()
    machine.folder.chmod(0o500)
    log = machine.log()
    log.note("answer", {"decision": "dec_1"})
    log.start()
    assert not log.flush(1)
    assert log.trouble is not None and len(machine.notices) == 1
    machine.folder.chmod(0o700)
    assert log.flush(30)
    log.close(30)
    assert machine.verdict().records == 2


def test_a_disk_that_refuses_a_write_leaves_no_half_record(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is written again, whole."""
    real, faults = os.write, [True]

    def write(file: int, data: bytes) -> int:
        if faults.pop() if faults else False:
            real(file, bytes(data)[:20])
            raise OSError(28, "No space left on device")
        return real(file, data)

    monkeypatch.setattr("runtime.trust.audit.log.os.write", write)
    machine.write(3)
    assert len(machine.notices) == 1
    found = machine.verdict()
    assert (found.intact, found.findings) == (True, ())


def test_a_head_that_is_cut_never_takes_the_place_of_a_whole_one(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes the records and a part of the head: the old head stays, and the next write makes a new one."""
    machine.write(1)
    real, cuts = os.write, [True]

    def write(file: int, data: bytes) -> int:
        if bytes(data[:5]) == b'{"n":' and b'"segment"' in bytes(data) and cuts:
            cuts.clear()
            return real(file, bytes(data)[:20])
        return real(file, data)

    monkeypatch.setattr("runtime.trust.audit.log.os.write", write)
    machine.write(2)
    found = machine.verdict()
    assert not cuts and found.intact and found.head == found.last
    assert any("No space left" in each for each in machine.notices)


def test_segments_follow_each_other_and_are_retired(machine: Machine) -> None:
    """The chain goes on over them; the oldest are removed once a record says so."""
    machine.write(6, segment_bytes=500)
    assert len(segments(machine.folder)) > 2 and machine.verdict().intact
    for path in segments(machine.folder):
        os.utime(path, (machine.at, machine.at))
    machine.passes(10 * 86_400)
    machine.write(4, segment_bytes=500, keep_days=5)
    found = machine.verdict()
    assert found.intact and found.first > 1 and "retired" in kinds(found)


def test_the_key_is_its_owners_alone(machine: Machine) -> None:
    """No other user of the machine can seal a record."""
    machine.write(1)
    assert (machine.folder / KEY).stat().st_mode & 0o077 == 0
    assert machine.file.stat().st_mode & 0o077 == 0


def test_a_record_is_in_the_file_when_its_note_returns(machine: Machine) -> None:
    """Before the thread looks at it: a kill cannot lose it."""
    log = machine.log()
    log.start()
    log.note("answer", {"decision": "dec_1"})
    assert [each.body["decision"] for each in latest(machine.folder, 1)] == ["dec_1"]
    log.close(30)


def test_records_of_several_threads_make_one_chain(machine: Machine) -> None:
    """Each is in the file when its own note returns, whichever thread wrote it."""
    log = machine.log(segment_bytes=8_000)
    log.start()

    def noting(who: int) -> None:
        for number in range(20):
            log.note("answer", {"decision": f"dec_{who}_{number}"})
            assert latest(machine.folder, 1, decision=f"dec_{who}_{number}")

    with ThreadPoolExecutor(4) as beside:
        list(beside.map(noting, range(4)))
    log.close(30)
    found = machine.verdict()
    assert (found.intact, found.records, found.findings) == (True, 81, ())


def test_a_record_that_was_cut_and_has_no_head_yet_is_no_tampering(machine: Machine) -> None:
    """Before the next start takes it away, too."""
    machine.write(2)
    with machine.file.open("ab") as file:
        file.write(b'{"n":4,"at"')
    found = machine.verdict()
    assert (found.intact, kinds(found)) == (True, ["torn"])


def test_a_kill_between_a_new_segment_and_its_first_record_loses_no_number(machine: Machine) -> None:
    """The chain goes on behind the last record of the segment before, though the head is older."""
    machine.write(2)
    head = (machine.folder / HEAD).read_bytes()
    machine.write(2)
    (machine.folder / HEAD).write_bytes(head)
    (machine.folder / "audit-000002.jsonl").touch()
    machine.write(1)
    found = machine.verdict()
    assert (found.intact, found.records, found.findings) == (True, 8, ())


def test_the_chain_goes_on_behind_damaged_lines(machine: Machine) -> None:
    """In another segment; the damaged records are named, and none that came later."""
    machine.write(3)
    lines = machine.lines()
    machine.put([*lines[:2], b"x" * len(lines[2][:-1]) + b"\n", b"y" * len(lines[3][:-1]) + b"\n"])
    machine.write(2)
    found = machine.verdict()
    assert (found.intact, found.first_bad, {each.n for each in found.findings}) == (False, 3, {3, 4})


def test_a_disk_that_was_full_for_a_while_is_no_restored_backup(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited is written in order, and the log says nothing else about it."""
    log, real, full = machine.log(), os.write, threading.Event()

    def write(file: int, data: bytes) -> int:
        if full.is_set():
            raise OSError(28, "No space left on device")
        return real(file, data)

    monkeypatch.setattr("runtime.trust.audit.log.os.write", write)
    log.start()
    log.note("answer", {"decision": "dec_1"})
    assert log.flush(30)
    full.set()
    log.note("answer", {"decision": "dec_2"})
    assert not log.flush(0.2) and len(machine.notices) == 1
    log.note("answer", {"decision": "dec_3"})
    full.clear()
    assert log.flush(30) and log.trouble is None
    log.close(30)
    found = machine.verdict()
    assert (found.intact, found.findings) == (True, ())
    assert [each.body.get("decision") for each in latest(machine.folder, 9)] == ["dec_3", "dec_2", "dec_1", None]


@pytest.mark.parametrize("key", [b"", b"k" * 32, b"k" * 64, b"k" * 65, bytes(range(200))])
def test_the_code_is_that_of_the_standard(key: bytes) -> None:
    """HMAC-SHA256 as Python's own module computes it, for keys shorter and longer than a block."""
    for text in ("", "a" * 64, "straße"):
        assert hmac.new(key, text.encode(), "sha256").hexdigest().startswith(mac_of(key, text))
    assert len(mac_of(key, "x")) == 32
