"""One record of the audit log as a line of JSON, sealed by a hash of its bytes and a code that only this box can make.

    {"n": 7, "at": …, "up": …, "boot": "…", "prev": "…", "kind": "answer", "body": {…}, "hash": "…", "mac": "…"}

`hash` is the SHA-256 of all that stands before it, and `prev` the hash of record n - 1: anybody can follow the chain. `mac` is
an HMAC of the hash under the box's audit key: whoever changes a record and computes all later hashes anew cannot make it.
Pure but for `audit_key`.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

FIRST = "0" * 64  # `prev` of the first record
HEAD, KEY, PREFIX, SUFFIX = "head.json", "key", "audit-", ".jsonl"
_MAC = 32  # hex digits
_BLOCK = 64  # bytes of SHA-256's blocks
_TAIL_BYTES = 1 << 20  # of a segment, in which its last record is
_TAIL = len(b',"hash":"') + 64 + len(b'","mac":"') + _MAC + len(b'"}')


class AuditEntry(msgspec.Struct, frozen=True):
    """n: counts from 1 without a gap. at: unix seconds. up: seconds since the machine started. boot: of that start.

    kind: answer | delivery | departure | change | start | gap | restored | cut_off | retired. prev: hash of the entry
    before it.
    """

    n: int
    at: float
    up: float
    boot: str
    prev: str
    kind: str
    body: Any


class FileMarks(msgspec.Struct, frozen=True):
    """A file's inode, and its times in nanoseconds. No program can set `changed`; a new hard link moves it too."""

    inode: int = 0
    modified: int = 0
    changed: int = 0

    def older(self, now: os.stat_result) -> bool:
        """True if another file stands there now, or one that was written before."""
        return now.st_ino != self.inode or now.st_mtime_ns < self.modified

    def touched(self, now: os.stat_result) -> bool:
        """True if the file was copied, restored or written since."""
        linked = now.st_nlink > 1 and now.st_mtime_ns == self.modified
        return self.older(now) or (now.st_ctime_ns != self.changed and not linked)


class AuditHead(msgspec.Struct, frozen=True):
    """The newest record, kept beside the segments. file: marks of the segment it is in. mac: over all the rest."""

    n: int
    hash: str
    at: float
    segment: str
    file: FileMarks
    mac: str = ""


class BrokenLine(Exception):
    """A line that is no sealed record."""


def sealed(entry: AuditEntry, key: bytes) -> tuple[bytes, str]:
    """The line, with its line break, and its hash."""
    content = msgspec.json.encode(entry)
    digest = hashlib.sha256(content).hexdigest()
    mac = mac_of(key, digest)
    return b'%b,"hash":"%b","mac":"%b"}\n' % (content[:-1], digest.encode(), mac.encode()), digest


def opened(line: bytes, key: bytes | None) -> tuple[AuditEntry, str]:
    """The entry of a line without its line break, and its hash. key: None leaves the code unchecked. Raises BrokenLine."""
    content, tail = line[:-_TAIL] + b"}", line[-_TAIL:]
    digest = hashlib.sha256(content).hexdigest()
    code = tail[-_MAC - 2 : -2].decode("ascii", "replace")
    if tail != b',"hash":"%b","mac":"%b"}' % (digest.encode(), code.encode("ascii", "replace")):
        raise BrokenLine("its bytes are not those that were sealed")
    if key is not None and not hmac.compare_digest(code, mac_of(key, digest)):
        raise BrokenLine("it was not sealed with this box's audit key")
    try:
        return msgspec.json.decode(content, type=AuditEntry), digest
    except msgspec.MsgspecError as error:
        raise BrokenLine(f"it is no audit record: {error}") from error


def signed(head: AuditHead, key: bytes) -> bytes:
    """The head as JSON, with its code. head: without one."""
    content = msgspec.json.encode(head)
    return content[:-2] + mac_of(key, content.hex()).encode() + b'"}'  # the code is its last member


def mac_of(key: bytes, text: str) -> str:
    """The beginning of HMAC-SHA256, in C alone: each answer waits for it."""
    keyed_inner, keyed_outer = _keyed(key)
    inner, outer = keyed_inner.copy(), keyed_outer.copy()
    inner.update(text.encode())
    outer.update(inner.digest())
    return outer.hexdigest()[:_MAC]


@lru_cache(maxsize=8)
def _keyed(key: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """HMAC's inner and outer hash with the key taken in (RFC 2104), which costs as much as all the rest."""
    padded = (key if len(key) <= _BLOCK else hashlib.sha256(key).digest()).ljust(_BLOCK, b"\0")
    return hashlib.sha256(bytes(each ^ 0x36 for each in padded)), hashlib.sha256(bytes(each ^ 0x5C for each in padded))


def segments(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(folder.glob(f"{PREFIX}*{SUFFIX}"))


class SegmentEnd(NamedTuple):
    """last: the newest record that can be read, None without any, and its hash. broken: damaged lines behind it.

    torn: bytes behind the last line break.
    """

    last: AuditEntry | None
    hash: str
    broken: int
    torn: int


NO_END = SegmentEnd(None, FIRST, 0, 0)


def end_of(path: Path) -> SegmentEnd:
    """The end of a segment, whose codes are not checked. Raises OSError."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        *lines, rest = file.read().split(b"\n")
    for broken, line in enumerate(reversed(lines)):
        with contextlib.suppress(BrokenLine):
            return SegmentEnd(*opened(line, None), broken, len(rest))
    return SegmentEnd(None, FIRST, len(lines), len(rest))


def audit_key(folder: Path, *, make: bool) -> bytes | None:
    """The key beside the log, readable by its owner alone. None where there is none and none is made. Raises OSError."""
    path = folder / KEY
    if make and not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(handle)
    return path.read_bytes().strip() if path.exists() else None


def read_head(path: Path) -> AuditHead | None:
    """None where there is none. Raises msgspec.MsgspecError for one that cannot be read, and OSError."""
    return msgspec.json.decode(path.read_bytes(), type=AuditHead) if path.exists() else None
