"""The judgement on an audit log: is every record there, in its place and as it was written, and what happened meanwhile.

    changed     a record's bytes are not those that were sealed
    removed     records are missing between two others, or before the first
    reordered   a record stands behind one that is younger
    cut_off     the signed head names records that are not there, in a file that is still the same one
    forged      the head itself is not signed by this box

These are tampering. What is named and is none:

    restored    a copy of the file was put in its place, or the file was touched
    gap         records that could not be written, and were counted
    clock       the clock was set
    reboot      the machine was started anew
    torn        a crash cut a record while it was being written
    retired     the oldest records were removed when their time was over
    unsigned    records after the head: a crash came between the two writes
    unkeyed     the audit key is not here, so that the codes were not checked
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from runtime.trust.audit.chain import (
    FIRST,
    HEAD,
    AuditEntry,
    AuditHead,
    BrokenLine,
    FileMarks,
    audit_key,
    opened,
    read_head,
    segments,
    signed,
)

TAMPERING = frozenset({"changed", "removed", "reordered", "cut_off", "forged"})
_MOST_FINDINGS = 200
_CLOCK_S, _DRIFT = 2.0, 0.002  # a clock may run wrong by so much between two records


class AuditFinding(msgspec.Struct, frozen=True):
    """n: the record's number. place: file and line."""

    kind: str
    n: int
    place: str
    words: str


class AuditVerdict(msgspec.Struct, frozen=True):
    """intact: no sign of tampering. records: that were read. first, last: their numbers, 0 without any.

    first_bad: the first record that is not as it was written or not where it was; None if intact.
    """

    intact: bool
    records: int
    first: int
    last: int
    head: int | None
    first_bad: int | None
    findings: tuple[AuditFinding, ...]


def verify(folder: Path, head: Path | None = None) -> AuditVerdict:
    """head: a copy of the head kept elsewhere, in place of the one in the folder. Raises OSError.

    The head is read first, so that a runtime may write meanwhile.
    """
    found = _Chain(audit_key(folder, make=False))
    try:
        signed_head = read_head(head or folder / HEAD)
    except msgspec.MsgspecError:
        signed_head = AuditHead(0, "", 0.0, "", FileMarks())  # a head without a signature is no head
    known = segments(folder)
    for path in known:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n") or path != known[-1]:
                    found.take(line.rstrip(b"\n"), f"{path.name}:{number}")
                else:
                    words = f"a crash cut {len(line)} bytes of the record behind it; the next start takes them away"
                    found.torn = True
                    found.note("torn", found.last, f"{path.name}:{number}", words)
    found.end(folder, signed_head)
    bad = [each.n for each in found.findings if each.kind in TAMPERING]
    ordered = tuple(sorted(found.findings, key=lambda each: each.n))
    first_bad = min(bad) if bad else None
    return AuditVerdict(not bad, found.records, found.first, found.last, found.head, first_bad, ordered)


class _Chain:
    """The chain as far as it was followed. expected: the next number. prev: the hash it must name; None after a bad line."""

    def __init__(self, key: bytes | None) -> None:
        self.key = key
        self.findings: list[AuditFinding] = []
        self.records = self.first = self.last = 0
        self.head: int | None = None
        self.torn = False  # the newest segment ends in the middle of a record
        self._expected = 0
        self._prev: str | None = FIRST
        self._before: AuditEntry | None = None
        self._hashes: dict[int, str] = {}  # of the last records, for the head
        self._retired: dict[int, str] = {}

    def note(self, kind: str, n: int, place: str, words: str) -> None:
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(AuditFinding(kind, n, place, words))

    def take(self, line: bytes, place: str) -> None:
        """The next line of the log."""
        try:
            entry, digest = opened(line, self.key)
        except BrokenLine as broken:
            n = self._expected or 1
            self.note("changed", n, place, f"record {n} was changed: {broken}")
            self._expected, self._prev = n + 1, None
            return
        self.records += 1
        if not self._expected:
            self._expected, self.first = entry.n, entry.n
            self._prev = FIRST if entry.n == 1 else None
            if entry.n != 1:
                self._retired[entry.n - 1] = entry.prev  # a record further on must say that it was retired
        if entry.n > self._expected:
            words = f"records {self._expected} to {entry.n - 1} are missing"
            self.note("removed", self._expected, place, words)
        elif entry.n < self._expected:
            self._misplaced(entry, place)
            return
        elif self._prev is not None and entry.prev != self._prev:
            n = max(1, entry.n - 1)
            self.note("changed", n, place, f"record {n} was changed: record {entry.n} followed another one")
        self._expected, self._prev, self.last = entry.n + 1, digest, entry.n
        self._hashes[entry.n] = digest
        self._hashes.pop(entry.n - 10_000, None)
        self._events(entry, place)
        self._clocks(entry, place)
        self._before = entry

    def _misplaced(self, entry: AuditEntry, place: str) -> None:
        """A record that is older than the one before it: it was moved, or stands here twice."""
        for at, each in enumerate(self.findings):
            if each.kind == "removed" and each.n == entry.n:
                words = f"record {entry.n} stands behind younger ones"
                self.findings[at] = AuditFinding("reordered", entry.n, place, words)
                return
        self.note("reordered", entry.n, place, f"record {entry.n} stands behind younger ones")

    def _events(self, entry: AuditEntry, place: str) -> None:
        """The events that the writer itself noted."""
        body: Any = entry.body
        match entry.kind:
            case "gap":
                self.note("gap", entry.n, place, f"{body['lost']} records before it could not be written")
            case "cut_off":
                words = f"records {body['first']} to {body['last']} were gone when the runtime started again"
                self.note("cut_off", body["first"], place, words)
            case "restored":
                lost = f": records {body['first']} to {body['last']} are not in it" if body["last"] else ""
                self.note("restored", entry.n, place, f"the log before it is a copy, as of a restored backup{lost}")
            case "start" if body["torn"]:
                self.note(
                    "torn", entry.n, place, f"a crash cut {body['torn']} bytes of a record that was being written"
                )
            case "retired":
                if self._retired.pop(body["last"], None) not in (None, body["hash"]):
                    self.note("changed", body["last"], place, f"record {body['last']} was not the one that was retired")
                self.note(
                    "retired", entry.n, place, f"records up to {body['last']} were removed when their time was over"
                )

    def _clocks(self, entry: AuditEntry, place: str) -> None:
        before = self._before
        if before is None:
            return
        if entry.boot != before.boot:
            self.note("reboot", entry.n, place, f"the machine was started anew before record {entry.n}")
            jump = min(0.0, entry.at - before.at)
        else:
            jump = (entry.at - before.at) - (entry.up - before.up)
        if abs(jump) > max(_CLOCK_S, _DRIFT * abs(entry.up - before.up)) or jump < -_CLOCK_S:
            way = "forward" if jump > 0 else "back"
            words = f"the clock was set {way} by {abs(jump):.0f} s between records {before.n} and {entry.n}"
            self.note("clock", entry.n, place, words)

    def end(self, folder: Path, head: AuditHead | None) -> None:
        """The head against the chain's end, and the records before its beginning."""
        for n in self._retired:
            self.note(
                "removed", 1, "", f"records 1 to {n} are missing, and no later record says that they were retired"
            )
        if self.key is None and self.records:
            self.note("unkeyed", 0, "", "the audit key is not here: only the chain of hashes was followed")
        if head is None:
            if self.records:
                self.note("forged", self.last, HEAD, "there is no head: nothing says whether later records are missing")
            return
        self.head = head.n
        if self.key is not None and signed(msgspec.structs.replace(head, mac=""), self.key) != msgspec.json.encode(
            head
        ):
            self.note("forged", head.n, HEAD, "the head is not signed by this box's audit key")
        elif head.n > self.last:
            segment = folder / head.segment
            older = segment.exists() and head.file.older(segment.stat())
            words = f"records {self.last + 1} to {head.n}, which the head names, are missing"
            how = (
                "an older copy stands here, as of a restored backup"
                if older
                else "cut off, or written over by an older copy"
            )
            self.note("restored" if older else "cut_off", self.last + 1, HEAD, f"{words}: {how}")
        elif head.n in self._hashes and self._hashes[head.n] != head.hash:
            self.note("changed", head.n, HEAD, f"record {head.n} is not the one that the head names")
        elif head.n < self.last:
            words = f"records {head.n + 1} to {self.last} are younger than the head, which is signed after them"
            self.note("unsigned", head.n + 1, HEAD, words)
        elif not any(each.kind in TAMPERING for each in self.findings) and not self.torn:
            segment = folder / head.segment
            if not segment.exists() or not head.file.touched(segment.stat()):
                return
            words = "the newest segment was copied, restored from a backup, or touched since the head was signed"
            self.note("restored", head.n, head.segment, words)
