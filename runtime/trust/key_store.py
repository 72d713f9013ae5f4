"""The created keys: names, limits and digests of their secrets in `STATE/keys.sqlite3`. No secret is written anywhere.

A secret is 256 random bits, so nobody can guess it from its digest, and a slow password hash would only slow each request
down. The digest is keyed with random bytes of the file: a digest of one box says nothing about the keys of another.
A revoked key keeps its row, so that the file always shows that a key was made once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from runtime.settings.environment import CREATED_KEYS
from runtime.trust.caller import Caller, RateLimits, Scope

_PREFIX = "hearth-"
_VERSION = 1
_SCHEMA = f"""
create table if not exists pepper (bytes blob not null);
create table if not exists key (id text primary key, body blob not null);
create table if not exists secret (digest blob primary key, id text not null, until real);
pragma user_version = {_VERSION};
"""

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
_Names = Annotated[tuple[_Name, ...], msgspec.Meta(max_length=100)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=10**12)]
_Dollars = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class KeyTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The name of a key and what it allows. Empty and None: no limit. expires: unix seconds."""

    name: _Name
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1)] = (Scope.GENERATE, Scope.READ)
    requires: _Names = ()
    targets: _Names = ()
    models: _Names = ()
    priorities: tuple[Literal["interactive", "default", "batch"], ...] = ()
    daily_usd: _Dollars | None = None
    monthly_usd: _Dollars | None = None
    requests_per_minute: _Count | None = None
    tokens_per_minute: _Count | None = None
    parallel: _Count | None = None
    expires: float | None = None


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is shown and stored: without its secret. Times are unix seconds."""

    id: str
    terms: KeyTerms
    created: float
    rotated: float | None = None
    revoked: float | None = None


class Admission(NamedTuple):
    """The caller of a secret. until: unix seconds after which it is refused."""

    caller: Caller
    until: float | None


class KeyCopy(msgspec.Struct, frozen=True):
    """A key for the other Hearths of a fleet. secrets: digest in hex, and until when it is good. version: the higher wins."""

    record: KeyRecord
    secrets: tuple[tuple[str, float | None], ...]
    version: int


class CreatedKeys(NamedTuple):
    """Everything that admits requests. peppers: of this box, and of those it shares its keys with.

    made: true once any key was created, revoked ones included. owners: the caller of each key by its id, revoked ones
    included: the batches that they left are cancelled.
    """

    peppers: tuple[bytes, ...]
    by_digest: dict[bytes, Admission]
    owners: dict[str, Caller]
    made: bool


NO_KEYS = CreatedKeys((), {}, {}, False)
CLOSED = CreatedKeys((), {}, {}, True)
"""For a file that cannot be read: nobody knows whether a key was made, so no door is opened."""


class UnknownKeyError(LookupError):
    """No key in force has this id or name."""


class KeyStore:
    """folder: the state folder. clock: unix seconds. Each call opens the file; raises sqlite3.Error or OSError if it cannot."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._path = folder / CREATED_KEYS
        self._clock = clock

    def admissions(self) -> CreatedKeys:
        """The secrets that are good now. Makes no file."""
        if not self._path.exists():
            return NO_KEYS
        with self._open() as file:
            records = {record.id: record for record in _records(file)}
            owners = {id: _caller(record) for id, record in records.items()}
            found = {
                digest: Admission(owners[id], _earlier(until, records[id].terms.expires))
                for digest, id, until in file.execute("select digest, id, until from secret")
            }
            return CreatedKeys(_peppers(file), found, owners, bool(records))

    def list(self) -> list[KeyRecord]:
        """Every key, oldest first, revoked ones too. Makes no file."""
        if not self._path.exists():
            return []
        with self._open() as file:
            return _records(file)

    def exported(self) -> tuple[dict[str, KeyCopy], tuple[bytes, ...]]:
        """Every key, by id, and the peppers of their digests. Makes no file."""
        if not self._path.exists():
            return {}, ()
        with self._open() as file:
            secrets: dict[str, list[tuple[str, float | None]]] = {}
            for digest, id, until in file.execute("select digest, id, until from secret order by digest"):
                secrets.setdefault(id, []).append((digest.hex(), until))
            copies = {
                each.id: KeyCopy(each, tuple(secrets.get(each.id, ())), _version_of(each)) for each in _records(file)
            }
            return copies, _peppers(file)

    def merge(self, copies: Mapping[str, KeyCopy], peppers: Iterable[bytes]) -> None:
        """Takes keys of another Hearth over in place of those of the same id."""
        with self._open() as file:
            file.executemany("insert into pepper values (?)", [(each,) for each in peppers])
            for id, copy in copies.items():
                _put(file, copy.record)
                file.execute("delete from secret where id = ?", (id,))
                rows = [(bytes.fromhex(digest), id, until) for digest, until in copy.secrets]
                file.executemany("insert into secret values (?, ?, ?)", rows)

    def create(self, terms: KeyTerms) -> tuple[KeyRecord, str]:
        """A new key and its secret, which is shown this once. Raises ValueError if a key in force has the name."""
        with self._open() as file:
            if any(record.terms.name == terms.name and record.revoked is None for record in _records(file)):
                raise ValueError(f"a key named {terms.name!r} is in force already")
            record = KeyRecord(id=f"key_{secrets.token_hex(8)}", terms=terms, created=self._clock())
            _put(file, record)
            return record, _secret_for(file, record.id)

    def rotate(self, named: str, grace_s: float = 0.0) -> tuple[KeyRecord, str]:
        """A new secret for a key, which keeps its id and what it owns. grace_s: seconds that older secrets stay good."""
        with self._open(named) as file:
            record = _in_force(file, named)
            # The later state of a key wins in a fleet, and another Hearth's clock may have been ahead of this one's.
            after = (record.rotated or record.created) + 0.001
            record = msgspec.structs.replace(record, rotated=max(self._clock(), after))
            until = self._clock() + grace_s
            file.execute(
                "update secret set until = ? where id = ? and coalesce(until, ?) >= ?", (until, record.id, until, until)
            )
            file.execute("delete from secret where id = ? and until <= ?", (record.id, self._clock()))
            _put(file, record)
            return record, _secret_for(file, record.id)

    def revoke(self, named: str) -> KeyRecord:
        """Ends a key and all its secrets."""
        with self._open(named) as file:
            record = msgspec.structs.replace(_in_force(file, named), revoked=self._clock())
            file.execute("delete from secret where id = ?", (record.id,))
            _put(file, record)
            return record

    @contextlib.contextmanager
    def _open(self, named: str = "") -> Iterator[sqlite3.Connection]:
        """The file in one transaction, readable by its owner alone. named: a key that is looked for: no file is made then."""
        if named and not self._path.exists():
            raise UnknownKeyError(named)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        with contextlib.closing(sqlite3.connect(self._path, timeout=5.0)) as file:
            if (version := file.execute("pragma user_version").fetchone()[0]) > _VERSION:
                raise sqlite3.DatabaseError(f"{self._path} is of a newer version of this program ({version})")
            file.execute("pragma synchronous = full")
            file.execute("pragma secure_delete = on")
            if not version:
                file.executescript(_SCHEMA)
            with file:
                file.execute("begin immediate")
                file.execute(
                    "insert into pepper select ? where not exists (select 1 from pepper)", (secrets.token_bytes(32),)
                )
                yield file


def digest_of(secret: bytes, pepper: bytes) -> bytes:
    """The digest under which a secret is found."""
    return hashlib.blake2b(secret, key=pepper, digest_size=32).digest()


def _peppers(file: sqlite3.Connection) -> tuple[bytes, ...]:
    """The own one first: new secrets are digested with it."""
    return tuple([bytes(each) for (each,) in file.execute("select bytes from pepper order by rowid")])


def _version_of(record: KeyRecord) -> int:
    """Of two states of one key the later one, and a revocation before all."""
    at = record.revoked or record.rotated or record.created
    return int(at * 1e6) + (10**15 * 2 if record.revoked is not None else 0)


def _records(file: sqlite3.Connection) -> list[KeyRecord]:
    return [
        msgspec.json.decode(body, type=KeyRecord) for (body,) in file.execute("select body from key order by rowid")
    ]


def _put(file: sqlite3.Connection, record: KeyRecord) -> None:
    file.execute(
        "insert into key values (?, ?) on conflict (id) do update set body = excluded.body",
        (record.id, msgspec.json.encode(record)),
    )


def _in_force(file: sqlite3.Connection, named: str) -> KeyRecord:
    for record in _records(file):
        if record.revoked is None and named in (record.id, record.terms.name):
            return record
    raise UnknownKeyError(named)


def _secret_for(file: sqlite3.Connection, id: str) -> str:
    secret = _PREFIX + secrets.token_urlsafe(32)
    file.execute("insert into secret values (?, ?, null)", (digest_of(secret.encode(), _peppers(file)[0]), id))
    return secret


def _earlier(one: float | None, other: float | None) -> float | None:
    times = [each for each in (one, other) if each is not None]
    return min(times) if times else None


def _caller(record: KeyRecord) -> Caller:
    terms = record.terms
    limits = RateLimits(terms.requests_per_minute, terms.tokens_per_minute, terms.parallel)
    return Caller(
        record.id,
        frozenset(terms.scopes),
        frozenset(terms.requires),
        frozenset(terms.targets),
        frozenset(terms.models),
        frozenset(terms.priorities),
        terms.daily_usd,
        terms.monthly_usd,
        None if limits == RateLimits() else limits,
        record.revoked is not None,
    )
