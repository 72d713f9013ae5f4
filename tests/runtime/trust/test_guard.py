"""The guard at every way out, alone and where connections are made."""

from __future__ import annotations

import pytest

from cloud.client import CloudClient
from cloud.hop import CloudHop
from local_models.wire.hop import EngineHop
from runtime.contract.failures import HopError, Kind
from runtime.contract.guard import LOCAL_ONLY, Cargo, DepartureRefused, Receiver, Way
from runtime.contract.hop import HttpCall
from runtime.contract.targets import Target
from runtime.trust.guard import Departure, ExitGuard

HIPAA = frozenset({"hipaa"})
TO = Receiver("claude", "https://api.example.com", HIPAA, "eu")


def guard(**certified: frozenset[str]) -> tuple[ExitGuard, list[Departure]]:
    noted: list[Departure] = []
    return ExitGuard(certified, noted.append), noted


def test_what_is_certified_may_leave_and_is_noted() -> None:
    """With all that the audit log needs."""
    here, noted = guard(claude=HIPAA)
    here.check(Cargo(Way.MODEL, "dec_1", HIPAA), TO)
    here.check(Cargo(Way.UPLOAD, "dec_2"), TO)
    assert noted[0] == Departure("model", "dec_1", "claude", "https://api.example.com", "eu", ("hipaa",), ("hipaa",))
    assert noted[1].way == "upload"


@pytest.mark.parametrize(
    ("cargo", "words"),
    [
        (None, "nothing states what the data"),
        (Cargo(Way.MODEL, "dec_1", frozenset({"hipaa", "zdr"})), "not certified for zdr"),
        (Cargo(Way.MODEL, "dec_1", frozenset({LOCAL_ONLY})), "not certified for local_only"),
    ],
)
def test_everything_else_stays_and_is_noted(cargo: Cargo | None, words: str) -> None:
    """Closed on failure: what states nothing is refused too."""
    here, noted = guard(claude=HIPAA)
    with pytest.raises(DepartureRefused, match=words):
        here.check(cargo, TO)
    assert words in noted[0].refused


def test_a_certificate_that_a_reload_took_away_holds_for_nothing_under_way() -> None:
    """The connection was built with it; the settings have it no more, or have no such target."""
    here, _ = guard(claude=HIPAA)
    cargo = Cargo(Way.MODEL, "dec_1", HIPAA)
    here.check(cargo, TO)
    here.certified = {"claude": frozenset()}
    with pytest.raises(DepartureRefused):
        here.check(cargo, TO)
    here.certified = {}
    with pytest.raises(DepartureRefused):
        here.check(cargo, TO)


def test_a_certificate_that_a_reload_gave_holds_for_new_connections_alone() -> None:
    """The account behind the old one may be another."""
    here, _ = guard(claude=HIPAA)
    with pytest.raises(DepartureRefused):
        here.check(Cargo(Way.MODEL, "dec_1", HIPAA), Receiver("claude", "https://api.example.com"))


def test_nobody_is_certified_for_what_may_not_leave() -> None:
    """Whatever made the target."""
    assert Target("t", "p", "m", certified=frozenset({LOCAL_ONLY, "hipaa"})).certified == HIPAA
    here, _ = guard(t=frozenset({LOCAL_ONLY}))
    with pytest.raises(DepartureRefused):
        here.check(Cargo(Way.MODEL, "dec_1", frozenset({LOCAL_ONLY})), Receiver("t", "u", frozenset({LOCAL_ONLY})))


async def test_the_hops_off_this_machine_connect_to_nobody_when_refused() -> None:
    """A vendor's and an engine's on another machine: port 9 would give another failure."""
    here, _ = guard()
    client = CloudClient({})
    call = HttpCall("/chat/completions", b"secret", cargo=Cargo(Way.MODEL, "dec_1", HIPAA))
    url = "http://127.0.0.1:9/v1"
    hops = (CloudHop(client, url, {}, here, TO), EngineHop(base_url=url, clock=lambda: 0.0, exit=(here, TO)))
    for hop in hops:
        for each in (call, HttpCall("/chat/completions", b"secret")):
            with pytest.raises(HopError) as refused:
                await hop.open(each, connect_s=1.0)
            assert refused.value.failure.kind is Kind.FORBIDDEN
    await client.aclose()
