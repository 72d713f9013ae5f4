"""The door for requests of other Hearths: admitted or refused by their headers alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runtime.contract.targets import FLEET
from runtime.server.hops import Hops
from runtime.trust.caller import NOBODY, Caller, Scope
from runtime.trust.keys import Keys
from runtime.wire.api_error import ApiError
from tests.fakes.box import Box
from tests.fakes.upstream import Turn, engine_backend, whole

ASK = {
    "x-hearth-hop": "1",
    "x-hearth-tokens": "9",
    "x-hearth-model": "small",
    "x-hearth-decision": "dec_1",
    "x-hearth-within-ms": "300000",
    "content-type": "application/json",
}
KEYS = Keys(())
PEER = Caller(FLEET, frozenset({Scope.GENERATE}))


def request(caller: Caller = PEER, **changed: str) -> Any:
    headers = {**ASK, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return SimpleNamespace(caller=caller, headers=headers, id="own", method="POST")


def door(*lanes: tuple[Turn, ...]) -> Hops:
    return Hops(Box(engine_backend(*(lanes or ((Turn([whole("Paris")]),),)))).desk)


def test_it_is_taken_under_the_senders_id_and_loses_the_headers_of_the_hop() -> None:
    """What is left is a client's request, with its demands."""
    asked = request(x_hearth_requires="hipaa")
    door()(asked, KEYS)
    assert asked.id == "dec_1"
    assert asked.headers == {"content-type": "application/json", "x-hearth-requires": "hipaa"}


@pytest.mark.parametrize(
    ("caller", "changed", "status"),
    [
        (NOBODY, {}, 400),  # a client cannot set the header
        (Caller("other", frozenset(Scope)), {}, 400),
        (PEER, {"x_hearth_hop": "2"}, 400),
        (PEER, {"x_hearth_tokens": "many"}, 400),
        (PEER, {"x_hearth_model": "other"}, 404),
    ],
)
def test_it_is_refused_before_its_body(caller: Caller, changed: dict[str, str], status: int) -> None:
    """From anybody else, for a second hop, and for another model."""
    with pytest.raises(ApiError) as refused:
        door()(request(caller, **changed), KEYS)
    assert refused.value.status == status


def test_an_engine_that_is_not_up_refuses() -> None:
    """503 with a wait."""
    box = Box(engine_backend((Turn([whole("Paris")]),)))
    box.desk.fleet.local.lanes[0].ready = False  # type: ignore[misc]
    with pytest.raises(ApiError) as refused:
        Hops(box.desk)(request(), KEYS)
    assert refused.value.status == 503 and refused.value.retry_after


def test_another_hearth_acts_for_no_administrator() -> None:
    """An admin's key sees through another Hearth what it stored and read; it changes nothing."""
    keys = Keys(("one",), ("root",), fleet="between us")
    admin = keys.admit({"x-api-key": "root"})
    acting = keys.acting(admin.id)
    assert (acting.id, acting.may(Scope.READ), acting.may(Scope.ADMIN)) == (admin.id, True, False)
    assert keys.acting(keys.admit({"x-api-key": "one"}).id).may(Scope.READ)
    assert not keys.acting("unknown").may(Scope.READ)


def test_the_fleets_key_is_a_caller_and_closes_no_door() -> None:
    """It may generate and read, and others come in as before."""
    keys = Keys((), fleet="between us")
    assert keys.open and keys.admit({}) == NOBODY
    caller = keys.admit({"authorization": "Bearer between us"})
    assert (caller.id, caller.may(Scope.READ), caller.may(Scope.ADMIN)) == (FLEET, True, False)
    assert keys.admit({"authorization": "Bearer between them"}).id != FLEET
