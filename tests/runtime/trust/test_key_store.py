"""Created keys: their secrets, ends, owners, and what the file holds of them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from runtime.settings.environment import CREATED_KEYS as FILE
from runtime.trust.caller import RateLimits, Scope
from runtime.trust.key_store import CLOSED, KeyStore, KeyTerms, UnknownKeyError
from runtime.trust.keys import Keys
from runtime.wire.api_error import ApiError


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def store(tmp_path: Path, clock: Time) -> KeyStore:
    return KeyStore(tmp_path, clock)


def keys_of(store: KeyStore, clock: Time) -> Keys:
    return Keys((), created=store.admissions(), clock=clock)


def refused(keys: Keys, secret: str) -> bool:
    try:
        keys.admit({"x-api-key": secret})
    except ApiError as error:
        assert error.status == 401 and secret not in str(error)
        return True
    return False


def test_a_created_key_is_a_caller_with_its_limits(store: KeyStore, clock: Time) -> None:
    """By its id; every limit of its terms is the caller's."""
    terms = KeyTerms(
        name="web", scopes=(Scope.GENERATE,), requires=("hipaa",), targets=("local",), daily_usd=2.0, parallel=3
    )
    record, secret = store.create(terms)
    caller = keys_of(store, clock).admit({"authorization": f"Bearer {secret}"})
    assert caller.id == record.id and caller.scopes == {Scope.GENERATE} and caller.requires == {"hipaa"}
    assert caller.targets == {"local"} and caller.daily_usd == 2.0 and caller.limits == RateLimits(parallel=3)


def test_no_secret_is_in_the_file_and_others_cannot_read_it(store: KeyStore, tmp_path: Path) -> None:
    """The secret is in no byte of the folder; the file is its owner's."""
    _, secret = store.create(KeyTerms(name="web"))
    assert all(secret.encode() not in path.read_bytes() for path in tmp_path.iterdir())
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert secret not in repr(store.list()) + repr(store.admissions())


def test_revoking_the_last_key_never_opens_the_door_again(store: KeyStore, clock: Time) -> None:
    """Without a key ever made the door is open; after the first one it stays shut."""
    assert keys_of(store, clock).open
    record, secret = store.create(KeyTerms(name="web"))
    store.revoke("web")
    keys = keys_of(store, clock)
    assert not keys.open and refused(keys, secret) and keys.owner(record.id).id == record.id
    assert store.list()[0].revoked == 1000.0
    assert [each.revoked for each in store.admissions().owners.values()] == [True]


def test_rotation_keeps_the_id_and_the_old_secret_for_its_grace(store: KeyStore, clock: Time) -> None:
    """A second rotation does not lengthen the first one's grace."""
    record, first = store.create(KeyTerms(name="web"))
    _, second = store.rotate(record.id, 60.0)
    clock.now = 1030.0
    _, third = store.rotate("web", 300.0)
    keys = keys_of(store, clock)
    assert {keys.admit({"x-api-key": each}).id for each in (first, second, third)} == {record.id}
    clock.now = 1061.0
    assert refused(keys, first) and not refused(keys, second)
    store.rotate("web")
    keys = keys_of(store, clock)
    assert refused(keys, second) and refused(keys, third)


def test_an_expired_key_is_refused_without_anybodys_doing(store: KeyStore, clock: Time) -> None:
    """By the clock of each request; rotation gives no time beyond its end."""
    store.create(KeyTerms(name="web", expires=1100.0))
    _, secret = store.rotate("web", 1000.0)
    keys = keys_of(store, clock)
    assert not refused(keys, secret)
    clock.now = 1100.0
    assert refused(keys, secret)


def test_names_in_force_are_unique_and_unknown_ones_are_errors(store: KeyStore) -> None:
    """The name of a revoked key is free again."""
    store.create(KeyTerms(name="web"))
    with pytest.raises(ValueError, match="in force already"):
        store.create(KeyTerms(name="web"))
    store.revoke("web")
    with pytest.raises(UnknownKeyError):
        store.rotate("web")
    store.create(KeyTerms(name="web"))


def test_a_file_that_cannot_be_read_opens_nothing() -> None:
    """What may have been made counts as made."""
    keys = Keys(["configured"], created=CLOSED)
    assert not keys.open and not refused(keys, "configured") and refused(keys, "other")
    assert not Keys((), created=CLOSED).open
