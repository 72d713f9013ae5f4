"""The other Hearths in memory: who is alive, who is asked, and what the headers of a request say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from runtime.contract.backend import Backend
from runtime.contract.reasons import Reason
from runtime.contract.targets import FLEET, LOCAL, Target
from runtime.fleet.peers import ASKS, STORE, PeerAsk, Peers, PeerState, PeerSummary, read_ask, read_summary
from runtime.routing.facts.facts import Facts
from runtime.routing.facts.hints import NO_HINTS, Hints
from runtime.routing.plan.plan import NO_TARGET, Candidate, Plan, PlanRefusal
from tests.fakes.upstream import FakeBackend

OWN = PeerSummary("a", "m", True)
LOCAL_TARGET, CLOUD = Target(LOCAL, LOCAL, "m"), Target("claude", "anthropic", "claude")
B, C, D = "http://b:8000", "http://c:8000", "http://d:8000"


def connect(address: str) -> Backend:
    return FakeBackend(Target(f"peer/{address.removeprefix('http://')}", LOCAL, "m", peer=True), [])


@dataclass
class Fleet:
    now: float = 100.0
    peers: Peers = field(init=False)

    def __post_init__(self) -> None:
        self.peers = Peers(lambda: OWN, connect, lambda: self.now)
        self.peers.know((B, C, D))

    def hear(self, address: str, **members: Any) -> None:
        self.peers.heard(address, PeerSummary(**{"name": address[7:8], "model": "m", "ready": True, **members}))

    def asked(self, plan: Plan, caller: str = "", hints: Hints = NO_HINTS) -> list[str]:
        made = self.peers.beside(plan, Facts("openai_chat", "auto", 9, hints=hints), caller)
        return [each.target.name for each in made.candidates]

    @property
    def states(self) -> list[str]:
        return [str(each.state) for each in self.peers.standings()]


def full(*targets: Target, reason: Reason = Reason.TTFT, **members: Any) -> Plan:
    """A plan that leaves the engine for its load."""
    return Plan(tuple(Candidate(each, reason, "") for each in targets), reason, "too late", **members)


def test_those_alive_are_asked_before_the_cloud_the_least_loaded_first() -> None:
    """At most two, each with the reason for which the request leaves the engine."""
    fleet = Fleet()
    for address, wait in ((B, 900.0), (C, 100.0), (D, 500.0)):
        fleet.hear(address, predicted_ttft_ms=wait)
    plan = full(CLOUD, LOCAL_TARGET)
    assert fleet.asked(plan) == ["peer/c:8000", "peer/d:8000", "claude", "local"]
    made = fleet.peers.beside(plan, Facts("openai_chat", "auto", 9), "")
    assert {each.reason for each in made.candidates} == {Reason.TTFT} and "peer/c:8000" in made.words


@pytest.mark.parametrize("code", ["queue_full", "engine_not_ready"])
def test_a_refusal_for_want_of_room_becomes_a_question_to_the_peers(code: str) -> None:
    """A pinned `local` too: the same model is the same target."""
    fleet = Fleet()
    refused = Plan((), Reason.TTFT, "full", refusal=PlanRefusal(429, code, "full"), pinned=True)
    assert fleet.peers.beside(refused, Facts("openai_chat", "local", 9), "") is refused
    fleet.hear(B)
    made = fleet.peers.beside(refused, Facts("openai_chat", "local", 9), "")
    assert (made.refusal, [each.target.name for each in made.candidates]) == (None, ["peer/b:8000"])


def test_other_plans_are_left_alone() -> None:
    """What stays, what leaves for its content, what came from a peer, batch work, and another refusal."""
    fleet = Fleet()
    fleet.hear(B)
    stays, leaves = full(LOCAL_TARGET, CLOUD), full(CLOUD)
    assert fleet.asked(stays) == ["local", "claude"]
    assert fleet.asked(full(CLOUD, reason=Reason.COMPLEXITY)) == ["claude"]
    assert fleet.asked(leaves, FLEET) == ["claude"]
    assert fleet.asked(leaves, hints=Hints(priority="batch")) == ["claude"]
    assert fleet.asked(leaves) == ["peer/b:8000", "claude"]
    assert fleet.asked(full(LOCAL_TARGET, degraded=(NO_TARGET,))) == ["peer/b:8000", "local"]
    lacking = Plan((), Reason.REQUIRES, "", refusal=PlanRefusal(403, "no_compliant_target", ""))
    assert fleet.peers.beside(lacking, Facts("openai_chat", "auto", 9), "") is lacking


@pytest.mark.parametrize(
    "summary", [{"ready": False}, {"model": "other"}, {"over": "ttft"}, {"protocol": 2}, {"name": "a"}]
)
def test_a_peer_that_cannot_take_it_is_not_asked(summary: dict[str, Any]) -> None:
    """Its engine is down, another model's or full; it speaks another protocol; or it is this Hearth itself."""
    fleet = Fleet()
    fleet.hear(B, **summary)
    assert fleet.asked(full(CLOUD)) == ["claude"]


def test_a_peer_is_forgotten_after_three_seconds_and_comes_back() -> None:
    """Its last word is still shown, with its age."""
    fleet = Fleet()
    assert fleet.states == ["unknown"] * 3
    fleet.hear(B, version="9")
    fleet.now += 2.9
    assert fleet.states[0] == PeerState.ALIVE and fleet.asked(full(CLOUD)) == ["peer/b:8000", "claude"]
    fleet.now += 0.2
    fleet.peers.failed(B, "refused")
    assert fleet.states[0] == PeerState.STALE and fleet.asked(full(CLOUD)) == ["claude"]
    (standing, *_) = fleet.peers.standings()
    assert standing.trouble == "refused" and standing.differs == ("version",)
    assert standing.heard_ago_s == pytest.approx(3.1)
    fleet.hear(B)
    assert fleet.states[0] == PeerState.ALIVE


def test_what_is_wrong_with_a_peer_is_said() -> None:
    """In the status of this Hearth: one that is not alive, and one of another version."""
    fleet = Fleet()
    fleet.peers.know((B, C))
    fleet.hear(B, version="9")
    fleet.peers.failed(C, "connection refused")
    assert fleet.peers.troubles() == (
        f"the peer {B} has another version",
        f"the peer {C} is unknown: connection refused",
    )


def test_a_list_that_changes_keeps_what_stays() -> None:
    """As a name is resolved again."""
    fleet = Fleet()
    fleet.hear(B)
    fleet.peers.know((C, B))
    assert fleet.peers.addresses == (C, B) and fleet.states == ["unknown", "alive"]
    with pytest.raises(KeyError):
        fleet.peers.backend("peer/d:8000")


def test_the_headers_say_all_that_the_owner_decides_by() -> None:
    """Numbers that are none, and a second hop, are refused."""
    headers = {"x-hearth-hop": "1", "x-hearth-tokens": "9", "x-hearth-model": "m", "x-hearth-within-ms": "1500"}
    assert read_ask(headers) == PeerAsk(9, "m", "", 1.5)
    for wrong in ({"x-hearth-hop": "2"}, {"x-hearth-tokens": "many"}, {"x-hearth-tokens": "-1"}, {"x-hearth-hop": ""}):
        with pytest.raises(ValueError):
            read_ask({**headers, **wrong})


def test_the_list_that_all_have_may_hold_this_hearth_itself() -> None:
    """It is shown nowhere and asked for nothing; another one with its name is refused, in words."""
    fleet = Fleet()
    fleet.peers.own = lambda: PeerSummary("a", "m", True, instance="1")
    fleet.hear(B, name="a", instance="1")
    fleet.hear(C, name="a", instance="2")
    fleet.hear(D)
    assert [(each.address, each.state) for each in fleet.peers.standings()] == [(C, "refused"), (D, "alive")]
    assert "has this one's name" in fleet.peers.standings()[0].trouble
    assert fleet.asked(full(CLOUD)) == ["peer/d:8000", "claude"]
    assert len(fleet.peers.troubles()) == 1


def test_a_newer_word_is_read_as_far_as_it_is_known() -> None:
    """Unknown members are ignored, here and in what it says of others; another protocol is only known to be one."""
    own = {"name": "b", "model": "m", "ready": True, "colour": "red", "waiting": 2}
    said = msgspec.json.encode({"own": own, "peers": [{"address": B, "state": "dreaming"}], "more": 1})
    assert read_summary(said) == PeerSummary("b", "m", True, 2)
    alien = msgspec.json.encode({"own": {"protocol": 2, "name": ["b"], "waiting": "many"}})
    assert read_summary(alien) == PeerSummary(protocol=2)
    fleet = Fleet()
    fleet.peers.heard(B, read_summary(alien))
    (standing, *_) = fleet.peers.standings()
    assert (standing.state, standing.differs) == (PeerState.REFUSED, ()) and "protocol 2" in standing.trouble
    for wrong in (b"", b"[]", b'{"own":1}', b"\xff", b'{"own":{"waiting":"many"}}'):
        with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
            read_summary(wrong)


def test_a_hearth_that_is_not_asked_is_compared_and_never_gets_a_request() -> None:
    """Heard through the store or because it asks: shown once, behind the peers, for three seconds after its last word."""
    fleet = Fleet()
    fleet.peers.know(())
    for via, id in ((STORE, "0c1f"), (ASKS, "")):
        fleet.peers.met(PeerSummary("e", "m", True, settings="other", instance="5"), via, id)
    fleet.peers.met(PeerSummary("f", "another", True, version="9", instance="6"), STORE, "77aa")
    e, f = fleet.peers.standings()
    assert [(each.label, each.address, each.via, each.state) for each in (e, f)] == [
        ("e", "", ASKS, "alive"),
        ("f", "", STORE, "alive"),
    ]
    assert (e.differs, f.differs) == (("settings",), ("version",))  # a store may serve Hearths with other models
    assert fleet.peers.troubles() == (
        "the Hearth e, which asks this one, has other settings",
        "the Hearth f, heard through the store, has another version",
    )
    assert fleet.asked(full(CLOUD)) == ["claude"] and fleet.peers.address_of("e") is None
    fleet.peers.know((B,))
    fleet.hear(B, name="e", settings="other", instance="5")
    assert [each.label for each in fleet.peers.standings()] == [B, "f"]
    fleet.now += 3.1
    assert [each.label for each in fleet.peers.standings()] == [B]


def test_a_hearth_of_another_protocol_or_with_this_ones_name_is_refused_in_words_wherever_it_is_heard() -> None:
    """Nothing but the protocol of the first is read. This Hearth's own word is nobody's."""
    fleet = Fleet()
    fleet.peers.know(())
    fleet.peers.own = lambda: PeerSummary("a", "m", True, instance="1")
    alien = read_summary(msgspec.json.encode({"own": {"protocol": 2, "name": ["b"], "settings": 7}}))
    fleet.peers.met(alien, STORE, "0c1f")
    fleet.peers.met(PeerSummary("a", "m", True, instance="2"), ASKS)
    fleet.peers.met(PeerSummary("a", "m", True, instance="1"), ASKS)
    assert fleet.peers.troubles() == (
        "the Hearth a, which asks this one, is refused: it has this one's name: in a fleet each name is one Hearth's",
        "the Hearth unnamed, heard through the store, is refused: it speaks protocol 2, this one 1",
    )


def test_two_others_with_one_name_are_named_by_a_third() -> None:
    """Ids name the Hearth that stores something. One Hearth at two addresses is one, and so is one that has started anew."""
    fleet = Fleet()
    fleet.hear(B, name="x", instance="1")
    fleet.hear(C, name="x", instance="1")
    fleet.peers.met(PeerSummary("x", "m", True, instance="0"), ASKS)
    assert not [each for each in fleet.peers.troubles() if "so is" in each]
    fleet.hear(C, name="x", instance="2")
    fleet.hear(D, name="d", instance="3")
    words = "the peer http://b:8000 is named x, and so is http://c:8000: in a fleet each name is one Hearth's"
    assert words in fleet.peers.troubles() and len([each for each in fleet.peers.troubles() if "so is" in each]) == 2
    fleet.now += 2.0
    fleet.hear(C, name="x", instance="2")
    fleet.now += 2.0
    assert not [each for each in fleet.peers.troubles() if "so is" in each]


def test_of_many_that_ask_a_hundred_are_remembered() -> None:
    fleet = Fleet()
    fleet.peers.know(())
    for n in range(150):
        fleet.peers.met(PeerSummary(f"h{n}", "m", instance=str(n)), ASKS)
    shown = fleet.peers.standings()
    assert len(shown) == 100 and {"h50", "h149"} <= {each.label for each in shown}


def test_the_address_of_a_hearth_is_that_under_which_its_name_is_alive() -> None:
    """One that moved is found where it is now; a name that nobody has is found nowhere."""
    fleet = Fleet()
    fleet.hear(B, name="b")
    fleet.now += 4
    fleet.hear(C, name="b")
    assert fleet.peers.address_of("b") == (C, True)
    fleet.now += 4
    found = fleet.peers.address_of("b")
    assert found is not None and not found[1]
    assert fleet.peers.address_of("z") is None
