"""A key's caller: its id, its scopes, and everybody else's refusal."""

from __future__ import annotations

import pytest

from runtime.trust.caller import NOBODY, Scope
from runtime.trust.keys import Keys
from runtime.wire.api_error import ApiError

USER = frozenset({Scope.GENERATE, Scope.READ})


def code(keys: Keys, headers: dict[str, str]) -> str | None:
    with pytest.raises(ApiError) as raised:
        keys.admit(headers)
    assert raised.value.status == 401
    return raised.value.code


def test_without_keys_everybody_may_generate_and_read() -> None:
    """No key is asked for, and an unknown one is no fault: SDKs insist on sending one."""
    keys = Keys(())
    assert keys.open and keys.admit({}) == NOBODY
    some, other = keys.admit({"x-api-key": "a"}), keys.admit({"authorization": "Bearer b"})
    assert some.scopes == other.scopes == USER and some.id != other.id != ""


@pytest.mark.parametrize("headers", [{"x-api-key": "secret"}, {"authorization": "Bearer secret"}])
def test_a_configured_key_may_generate_and_read(headers: dict[str, str]) -> None:
    """By either header; its id is a digest that shows nothing of it."""
    caller = Keys(["secret"]).admit(headers)
    assert caller.scopes == USER and len(caller.id) == 64 and "secret" not in caller.id


def test_missing_and_wrong_keys_are_refused() -> None:
    """With codes of their own; another scheme counts as none."""
    keys = Keys(["secret"])
    assert code(keys, {}) == code(keys, {"authorization": "Basic c2VjcmV0"}) == "missing_api_key"
    assert code(keys, {"authorization": "Bearer "}) == "missing_api_key"
    assert code(keys, {"x-api-key": "Secret"}) == code(keys, {"authorization": "bearer x"}) == "invalid_api_key"


def test_admin_keys_may_do_everything() -> None:
    """Alone they close the door to everybody else."""
    keys = Keys((), ["root"])
    assert not keys.open and keys.admit({"x-api-key": "root"}).may(Scope.ADMIN)
    assert code(keys, {}) == "missing_api_key"


def test_the_box_s_own_admin_key_does_not_close_the_door() -> None:
    """It is not one of the keys: callers without it may generate and read, and change nothing."""
    keys = Keys((), (), "box")
    assert keys.open and keys.admit({"x-api-key": "box"}).may(Scope.ADMIN)
    assert not keys.admit({}).may(Scope.ADMIN) and not keys.admit({"x-api-key": "x"}).may(Scope.ADMIN)
    assert Keys(["user"], (), "box").admit({"x-api-key": "box"}).may(Scope.ADMIN)


def test_a_key_that_is_both_user_and_admin_is_an_admin() -> None:
    """The wider of two scopes counts."""
    assert Keys(["same"], ["same"]).admit({"x-api-key": "same"}).may(Scope.ADMIN)


def test_keys_beyond_ascii_are_compared_as_bytes() -> None:
    """A header arrives as bytes read as latin-1; the settings hold text, sent as UTF-8."""
    assert Keys(["clé"]).admit({"x-api-key": "clé".encode().decode("latin-1")}).may(Scope.READ)
