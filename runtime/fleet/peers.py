"""The other Hearths: what each last said of itself, and which of them a full engine's requests go to.

*The owner decides*: a summary only chooses who is asked. The Hearth that owns an engine takes a request or refuses it by its
own ledger, from the headers alone (`PeerAsk`), so that a summary that is late costs a refusal and never a late answer. A
request goes from one Hearth to another once; the header `x-hearth-hop` says that it did.

A Hearth that is not asked is heard all the same: through the store of the fleet, or because it asks this one. It is compared
like a peer, so that a difference is known on both sides, and never gets a request.

Durations, never times of day: clocks differ. Single-threaded, on the event loop. Opens no connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from runtime.contract.backend import Backend
from runtime.contract.reasons import Reason
from runtime.contract.targets import FLEET
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.made import Candidate, Plan
from runtime.routing.plan.plan import NO_TARGET
from runtime.routing.plan.refusals import ENGINE_NOT_READY, QUEUE_FULL

PROTOCOL = 1  # another first number is not understood; members that are not known are ignored
HOP, TOKENS, MODEL, WITHIN, DECISION = (
    "x-hearth-hop",
    "x-hearth-tokens",
    "x-hearth-model",
    "x-hearth-within-ms",
    "x-hearth-decision",
)
GONE_S = 3.0  # since a peer was last heard
_MOST_MET = 100  # Hearths that are heard without being asked
_MOST_ASKED = 2  # peers for one request: the cloud is not to wait for a round of refusals
_LOAD = frozenset({Reason.QUEUE_DEPTH, Reason.KV_CACHE, Reason.GPU, Reason.TTFT, Reason.ENGINE_DOWN})
_PASSING = frozenset({QUEUE_FULL, ENGINE_NOT_READY})


STORE, ASKS = "store", "asks"  # how a Hearth is heard that is not asked itself
_HEARD = {STORE: "heard through the store", ASKS: "which asks this one"}
_OTHER = {"version": "another version", "settings": "other settings", "model": "another model"}


class PeerState(StrEnum):
    ALIVE = "alive"
    STALE = "stale"  # not heard for three seconds
    UNKNOWN = "unknown"  # never heard
    REFUSED = "refused"  # it speaks another protocol, or has this one's name
    SELF = "self"  # this Hearth, found in the list that all have: shown nowhere


class PeerSummary(msgspec.Struct, frozen=True):
    """A Hearth's word on itself. settings: their digest. predicted_ttft_ms: of a usual prompt.

    instance: another one for each start of a process, by which a Hearth knows itself. Members are added at the end.
    """

    name: str = ""
    model: str = ""
    ready: bool = False
    waiting: int = 0
    running: int = 0
    predicted_ttft_ms: float | None = None
    over: str = ""
    version: str = ""
    settings: str = ""
    protocol: int = PROTOCOL
    instance: str = ""


class _Word(msgspec.Struct):
    own: PeerSummary


class _Version(msgspec.Struct):
    protocol: int = PROTOCOL


class _Versioned(msgspec.Struct):
    own: _Version


_word, _versioned = msgspec.json.Decoder(_Word), msgspec.json.Decoder(_Versioned)


def read_summary(body: bytes) -> PeerSummary:
    """A Hearth's word on itself, out of its `/hearth/fleet`. Of one of another protocol nothing but that is read.

    Members that are not known are ignored: a newer version may say more. Raises msgspec.DecodeError.
    """
    protocol = _versioned.decode(body).own.protocol
    return PeerSummary(protocol=protocol) if protocol != PROTOCOL else _word.decode(body).own


class PeerStanding(msgspec.Struct, frozen=True):
    """One Hearth as this one sees it. differs: what is not as here (version, settings, model). trouble: why it is gone,
    or that another has its name.

    address: "" of a Hearth that is not asked itself; via: how it is heard, "store" or "asks".
    """

    address: str
    state: PeerState
    heard_ago_s: float | None = None
    summary: PeerSummary | None = None
    differs: tuple[str, ...] = ()
    trouble: str = ""
    via: str = ""

    @property
    def label(self) -> str:
        """Its address, else its name."""
        return self.address or (self.summary.name if self.summary is not None else "") or "unnamed"

    @property
    def words(self) -> str:
        """The Hearth in a sentence."""
        return f"the Hearth {self.label}, {_HEARD.get(self.via, self.via)}," if self.via else f"the peer {self.label}"

    @property
    def difference(self) -> str:
        """The members that differ, in words; "" if none does."""
        return " and ".join([_OTHER[each] for each in self.differs])


class PeerAsk(msgspec.Struct, frozen=True):
    """A request as its headers describe it, before its body is read. within_s: None for no limit."""

    tokens: int
    model: str
    decision: str = ""
    within_s: float | None = None


def read_ask(headers: Mapping[str, str]) -> PeerAsk:
    """Raises ValueError for a number that is none, or another hop than the first."""
    if headers.get(HOP) != "1":
        raise ValueError(f"{HOP} must be 1: a request goes from one Hearth to another once")
    within = headers.get(WITHIN)
    tokens = int(headers.get(TOKENS, "0"))
    if tokens < 0:
        raise ValueError(f"{TOKENS} must not be negative")
    return PeerAsk(
        tokens, headers.get(MODEL, ""), headers.get(DECISION, ""), None if within is None else int(within) / 1000
    )


class _Heard(msgspec.Struct):
    backend: Backend
    at: float | None = None
    summary: PeerSummary | None = None
    trouble: str = ""


class _Met(msgspec.Struct, frozen=True):
    at: float
    summary: PeerSummary
    via: str
    trouble: str = ""


class Peers:
    """own: what this Hearth says of itself. clock: monotonic seconds. connect: the backend of a peer at an address."""

    def __init__(
        self, own: Callable[[], PeerSummary], connect: Callable[[str], Backend], clock: Callable[[], float]
    ) -> None:
        self.own = own
        self._connect = connect
        self._clock = clock
        self._heard: dict[str, _Heard] = {}
        self._met: dict[str, _Met] = {}  # by the way and what tells it from others, oldest word first

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(self._heard)

    def know(self, addresses: tuple[str, ...]) -> None:
        """Takes a list of addresses over: of those that stay everything is kept."""
        self._heard = {each: self._heard.get(each) or _Heard(self._connect(each)) for each in addresses}

    def backend(self, name: str) -> Backend:
        """By its target's name. Raises KeyError for one that is no peer any more."""
        found = {each.backend.target.name: each.backend for each in self._heard.values()}
        return found[name]

    def address_of(self, name: str) -> tuple[str, bool] | None:
        """The address at which the Hearth of this name was heard, and True if it is alive; None if it never was."""
        own, now = self.own(), self._clock()
        named = [
            (address, _state(each, own, now)[0] is PeerState.ALIVE)
            for address, each in self._heard.items()
            if each.summary is not None and each.summary.name == name
        ]
        return max(named, key=lambda pair: pair[1], default=None)

    def heard(self, address: str, summary: PeerSummary) -> None:
        if (known := self._heard.get(address)) is not None:
            known.at, known.summary, known.trouble = self._clock(), summary, ""

    def failed(self, address: str, words: str) -> None:
        if (known := self._heard.get(address)) is not None:
            known.trouble = words

    def met(self, summary: PeerSummary, via: str, id: str = "") -> None:
        """Takes the word of a Hearth that was not asked for it. via: `STORE` or `ASKS`. id: by which the store knows it."""
        key = f"{via} {id or summary.instance or summary.name}"
        self._met.pop(key, None)
        self._met[key] = _Met(self._clock(), summary, via)
        if len(self._met) > _MOST_MET:
            del self._met[next(iter(self._met))]

    def standings(self) -> tuple[PeerStanding, ...]:
        """Every peer, in the order of the settings; then the others that were heard within three seconds."""
        now, own = self._clock(), self.own()
        found = []
        for address, each in self._heard.items():
            state, trouble = _state(each, own, now)
            if state is PeerState.SELF:
                continue
            differs = _differences(own, each.summary) if each.summary is not None else ()
            ago = None if each.at is None else now - each.at
            found.append(PeerStanding(address, state, ago, each.summary, differs, trouble))
        shown = {each.summary.instance for each in found if each.summary is not None} - {""}
        for met in sorted(
            self._met.values(), key=lambda each: each.via
        ):  # who asks says it itself: the store's word is older
            state, trouble = _state(met, own, now)
            if state is PeerState.SELF or now - met.at > GONE_S or met.summary.instance in shown:
                continue
            shown |= {met.summary.instance} - {""}
            differs = _differences(own, met.summary, but=("model",) if met.via == STORE else ())
            found.append(PeerStanding("", state, now - met.at, met.summary, differs, trouble, met.via))
        return tuple([each if each.trouble else replace(each, trouble=_namesake(each, found)) for each in found])

    def troubles(self) -> tuple[str, ...]:
        """A sentence for each peer that is not alive, has another's name, or is not as this Hearth is."""
        found = []
        for each in self.standings():
            if each.state is not PeerState.ALIVE:
                found.append(f"{each.words} is {each.state}{f': {each.trouble}' if each.trouble else ''}")
            elif each.trouble:
                found.append(f"{each.words} {each.trouble}")
            elif each.differs:
                found.append(f"{each.words} has {each.difference}")
        return tuple(found)

    def beside(self, plan: Plan, facts: Facts, caller: str) -> Plan:
        """The plan with the peers before all that leaves the fleet, where the engine alone is too full or not up.

        A request that came from a peer is never passed on; batch work waits for its own engine.
        """
        full = plan.refusal is not None and plan.refusal.code in _PASSING
        leaves = plan.reason in _LOAD and (not plan.candidates[:1] or not plan.candidates[0].target.local)
        if not full and not leaves and not (plan.reason in _LOAD and NO_TARGET in plan.degraded):
            return plan
        if caller == FLEET or facts.hints.priority == "batch":
            return plan
        asked = self._to_ask()
        if not asked:
            return plan
        first = tuple(
            Candidate(each.target, plan.reason, f"{plan.words}; {each.target.name} has the model and may have room")
            for each in asked
        )
        words = f"{plan.words}; {asked[0].target.name} is asked first"
        return replace(plan, candidates=(*first, *plan.candidates), words=words, refusal=None)

    def _to_ask(self) -> list[Backend]:
        """Those alive and ready with the same model, the one with the shortest predicted wait first."""
        now, own = self._clock(), self.own()
        able = [
            (each.summary.predicted_ttft_ms or 0.0, each.backend)
            for each in self._heard.values()
            if each.summary is not None
            and _state(each, own, now)[0] is PeerState.ALIVE
            and each.summary.ready
            and each.summary.model == own.model
            and not each.summary.over
        ]
        return [backend for _, backend in sorted(able, key=lambda pair: pair[0])[:_MOST_ASKED]]


def _state(each: _Heard | _Met, own: PeerSummary, now: float) -> tuple[PeerState, str]:
    """The state of a Hearth, and why it is not alive."""
    if each.at is None or each.summary is None:
        return PeerState.UNKNOWN, each.trouble
    if each.summary.protocol != PROTOCOL:
        return PeerState.REFUSED, f"it speaks protocol {each.summary.protocol}, this one {PROTOCOL}"
    if own.instance and each.summary.instance == own.instance:
        return PeerState.SELF, ""
    if own.name and each.summary.name == own.name:
        return PeerState.REFUSED, "it has this one's name: in a fleet each name is one Hearth's"
    return (PeerState.ALIVE, "") if now - each.at <= GONE_S else (PeerState.STALE, each.trouble)


def _namesake(one: PeerStanding, others: list[PeerStanding]) -> str:
    """Words on another living Hearth with this one's name, by which ids name the Hearth that stores something.

    One that is heard because it asks may be the same Hearth before its restart.
    """
    living = [each for each in others if each.state is PeerState.ALIVE and each.via != ASKS]
    for each in living if one in living else ():
        if one.summary is None or each.summary is None or not one.summary.name:
            continue
        if each.summary.name == one.summary.name and each.summary.instance != one.summary.instance:
            return f"is named {one.summary.name}, and so is {each.label}: in a fleet each name is one Hearth's"
    return ""


def _differences(own: PeerSummary, other: PeerSummary, but: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The members in which another Hearth differs. Of one of another protocol no other member was read."""
    if other.protocol != PROTOCOL:
        return ()
    return tuple(name for name in _OTHER if name not in but and getattr(own, name) != getattr(other, name))
