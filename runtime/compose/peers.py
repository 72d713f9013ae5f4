"""The other Hearths of a fleet, wired into the runtime: connections, summaries, the door. Imported only where `[fleet]` has a
key or a store.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import structs

from local_models.wire.codec import EngineCodec
from local_models.wire.hop import EngineHop
from local_models.wire.url import is_loopback
from runtime import __version__
from runtime.contract.backend import Backend, Lane, Uploads
from runtime.contract.failures import HopError
from runtime.contract.guard import Guard, Receiver
from runtime.contract.hop import Hop
from runtime.contract.targets import LOCAL, PEER, Target
from runtime.conversations.store import ResponseStore
from runtime.dialects.meter import UNDECODABLE
from runtime.fleet.peers import ASKS, GONE_S, Peers, PeerState, PeerSummary, read_summary
from runtime.life.desk import Desk
from runtime.record.decisions import Decision
from runtime.record.metrics import FleetGauges
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.made import Plan
from runtime.routing.plan.names import Pinned, resolve
from runtime.server.asgi import Page
from runtime.server.forwarding import Forwarding, PeerWay
from runtime.server.hops import Hops
from runtime.server.item_search import ItemSearch
from runtime.server.pages.fleet import FleetPage, FleetReport, asking
from runtime.server.routes import Route
from runtime.settings import Settings
from runtime.settings.editable import shown
from runtime.settings.shape import leaves

_EACH_S = 1.0
_LOOK_S = 0.25
_ASKED_S = 1.0
_RESOLVED_S = 5.0
_MOST_WORD = 4096  # bytes of what another Hearth says of itself
# Sections in which the Hearths of a fleet rightly differ.
_OWN = frozenset({"fleet", "server", "records", "engine", "autoscale"})
_DIALECTS = frozenset(
    {"openai_chat", "openai_completions", "openai_embeddings", "openai_responses", "anthropic_messages", "rerank"}
)


class PeerLane(NamedTuple):
    """A `runtime.contract.backend.Lane`. Its owner tells with each request whether it has room."""

    name: str
    hop: Hop
    model: str = LOCAL
    ready: bool = True
    slots: int | None = None


class PeerBackend:
    """A `runtime.contract.backend.Backend` with the facts of this Hearth's own engine, for it serves the same model.

    local: that engine's target, now. as_peer: the target with its name, its certificates, and on which machine it is.
    """

    uploads: Uploads | None = None

    def __init__(self, local: Callable[[], Target], as_peer: Target, lane: Lane) -> None:
        self.codec, self.lanes = EngineCodec(), (lane,)
        self._local, self._as_peer = local, as_peer

    @property
    def target(self) -> Target:
        local = self._local()
        can = replace(local.capabilities, priorities=False, sessions=False)
        return replace(self._as_peer, model=local.model, capabilities=can, timeouts=local.timeouts)


class PeerRoom:
    """Puts the peers into the desk's plans, and gives the pages, the door and the chore of a fleet.

    settings: at the start; [fleet] needs a restart. Without a key no peer is asked, and none is let in.
    """

    def __init__(self, desk: Desk, settings: Settings, guard: Guard) -> None:
        self._desk, self._settings, self._guard = desk, settings, guard
        self._key = settings.fleet.key.value if settings.fleet.key is not None else None
        self._alike = PeerSummary(
            settings.fleet.name, version=__version__, settings=digest_of(settings), instance=secrets.token_hex(8)
        )
        self._hops: dict[str, tuple[EngineHop, EngineHop]] = {}  # for work of its engine, and for what it stores
        self._ways: dict[str, PeerWay] = {}
        self._asked: dict[tuple[str, str], int] = {}
        self._looked_at = self._awake_at = desk.clock()
        self.peers = Peers(self.own, self._connect, desk.clock)
        if self._key is not None:
            self.peers.know(tuple(each for each in settings.fleet.peers if not each.startswith("dns:")))
        desk.peers = self._beside
        desk.fleet.peers = self.peers.backend
        desk.others = self.others
        desk.settled = (*desk.settled, self.settled)
        # Without a key no other Hearth can be told from a stranger.
        self.admit = Hops(desk) if self._key is not None else None
        self.forwarding = Forwarding(desk, settings.fleet.name, self._owner)

    def own(self) -> PeerSummary:
        """This Hearth, as it tells the others."""
        fleet = self._desk.fleet
        load = fleet.load()
        target = fleet.local.target
        alike = structs.replace(self._alike, model=target.model)
        if load is None or self._desk.draining:
            return alike
        reading = load.reading
        return structs.replace(
            alike,
            ready=True,
            waiting=reading.waiting,
            running=reading.running,
            predicted_ttft_ms=reading.predicted_ttft_s * 1000,
            over=str(load.pressure.over or ""),
        )

    def around(
        self, pages: Mapping[Route, Page], report: Callable[[], FleetReport], responses: ResponseStore
    ) -> dict[Route, Page]:
        """The pages, those of stored things with the way to their owners, and the fleet's own with an ear for who asks it.

        responses: gets the way to the items of responses that the others store.
        """
        found = {**pages, **FleetPage(report, self.heard).table()}
        if self.admit is None:
            return found
        responses.elsewhere = ItemSearch(self._every_way).find
        return self.forwarding.around(found)

    def apply(self, settings: Settings) -> None:
        """Tells the others of settings that are in force from now on."""
        self._alike = structs.replace(self._alike, settings=digest_of(settings))

    def word(self) -> bytes:
        """This Hearth's word on itself, which `read_summary` reads."""
        return msgspec.json.encode(FleetReport(self.own()))

    def heard(self, word: bytes, via: str = ASKS, id: str = "") -> None:
        """Takes the word of a Hearth that was not asked for it. One that cannot be read is not heard."""
        if len(word) <= _MOST_WORD:
            with contextlib.suppress(*UNDECODABLE):
                self.peers.met(read_summary(word), via, id)

    def _beside(self, plan: Plan, facts: Facts, caller: str) -> Plan:
        """The plan with the peers in it, unless another model than the engine's own is pinned."""
        if plan.pinned and resolve(facts.model, self._desk.planner.policy.directory) != Pinned(LOCAL):
            return plan
        return self.peers.beside(plan, facts, caller)

    def _owner(self, name: str) -> PeerWay | None:
        """The way to the Hearth of this name."""
        found = self.peers.address_of(name)
        return None if found is None else self._ways[found[0]]._replace(alive=found[1])

    def _every_way(self) -> list[PeerWay]:
        """The ways to all peers that speak this protocol, this Hearth itself left out."""
        return [
            self._ways[each.address]._replace(alive=each.state is PeerState.ALIVE)
            for each in self.peers.standings()
            if each.address and each.state is not PeerState.REFUSED
        ]

    def gauges(self) -> FleetGauges:
        """The other Hearths for `/metrics`, each by its address, or by its name where it is not asked itself."""
        peers = {
            each.label: (each.state is PeerState.ALIVE, bool(each.differs), each.heard_ago_s)
            for each in self.peers.standings()
        }
        return FleetGauges(peers, self._asked, self.forwarding.sent)

    def others(self) -> dict[str, object]:
        """This Hearth and the others for `/health/ready`: names, versions and settings, and nothing of their load."""
        own, peers = self._alike, {}
        for each in self.peers.standings():
            peers[each.label] = {
                "name": each.summary.name if each.summary else "",
                "state": each.state,
                "differs": each.differs,
            }
        return {"name": own.name, "version": own.version, "settings": own.settings, "peers": peers}

    def settled(self, made: Decision) -> None:
        """Counts the answers and refusals of the peers that a request was passed on to."""
        for each in made.attempts:
            if each.lane.startswith(PEER):
                key = each.lane.removeprefix(PEER), each.outcome
                self._asked[key] = self._asked.get(key, 0) + 1

    def report(self) -> FleetReport:
        """`/hearth/fleet`."""
        return FleetReport(self.own(), self.peers.standings())

    async def run(self) -> None:
        """Asks every peer for its summary each second, until cancelled."""
        resolved_at = -_RESOLVED_S
        while True:
            if self._desk.clock() - resolved_at >= _RESOLVED_S:
                resolved_at = self._desk.clock()
                self.peers.know(await resolved(self._settings.fleet.peers, self.peers.addresses))
                for gone in self._hops.keys() - set(self.peers.addresses):
                    for hop in self._hops.pop(gone):
                        await hop.aclose()
                    del self._ways[gone]
            await asyncio.gather(*[self._listen(each) for each in self.peers.addresses])
            asked_at = self._desk.clock()
            while self._desk.clock() - asked_at < _EACH_S:
                self.end_silent()
                await asyncio.sleep(_LOOK_S)

    def end_silent(self) -> None:
        """Ends what is in progress with peers that are gone without a word: frozen, or cut off.

        Such a one was not heard for three seconds, nor did a byte of any answer come. Where this Hearth itself stood still, it
        listens for as long before it holds that against anybody.
        """
        now = self._desk.clock()
        if now - self._looked_at >= GONE_S:
            self._awake_at = now
        self._looked_at = now
        if now - self._awake_at < GONE_S:
            return
        for each in self.peers.standings():
            if each.state is not PeerState.STALE or not each.address:
                continue
            for hop in self._hops[each.address]:
                if hop.quiet_since is not None and now - hop.quiet_since >= GONE_S:
                    hop.give_up(f"{each.label} was not heard for {GONE_S:.0f} s")

    async def _listen(self, address: str) -> None:
        try:
            status, body = await self._hops[address][0].probe(asking(self.word()), _ASKED_S, at_most=1 << 20)
            if status != 200:
                doubt = "is [fleet] key the same there?" if status in (401, 403, 429) else "is it a Hearth?"
                self.peers.failed(address, f"{address} answered {status}: {doubt}")
                return
            self.peers.heard(address, read_summary(body))
        except HopError as error:
            self.peers.failed(address, error.failure.message)
        except UNDECODABLE as error:
            self.peers.failed(address, f"{address} is no Hearth of this protocol: {error}")

    def _connect(self, address: str) -> Backend:
        """The peer at an address. Without TLS nothing that demands a certificate goes to another machine."""
        fleet = self._desk.fleet
        here = is_loopback(address)
        sealed = here or urlsplit(address).scheme == "https"
        certified = frozenset(self._settings.engine.certified) if sealed else frozenset[str]()
        name = f"{PEER}{urlsplit(address).netloc}"
        exit = None if here else (self._guard, Receiver(LOCAL, address, certified))
        hop, way = (
            EngineHop(base_url=each, key=self._key, clock=self._desk.clock, exit=exit)
            for each in (f"{address}/v1", address)
        )
        self._hops[address] = hop, way
        self._ways[address] = PeerWay(way, sealed, alive=False)
        as_peer = Target(name, LOCAL, "", certified=certified, on_box=here, dialects=_DIALECTS, peer=True)
        return PeerBackend(lambda: fleet.local.target, as_peer, PeerLane(name, hop))


def digest_of(settings: Settings) -> str:
    """By it two Hearths notice that they decide by different settings. Secrets count by their references alone."""
    every = [(key, shown(value)) for key, value in leaves(settings) if key[0] not in _OWN]
    return hashlib.sha256(msgspec.json.encode(sorted(every, key=lambda pair: str(pair[0])))).hexdigest()[:12]


async def resolved(listed: Sequence[str], before: Sequence[str]) -> tuple[str, ...]:
    """The addresses of the settings, with names resolved. Where a name cannot be, those known before stay."""
    found: list[str] = []
    for each in listed:
        if not each.startswith("dns:"):
            found.append(each)
            continue
        host, _, port = each.removeprefix("dns:").rpartition(":")
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(host or port, int(port) if host else 8000)
        except OSError:
            return tuple(before)
        places = sorted({(str(info[4][0]), int(info[4][1])) for info in infos})
        found += [f"http://[{ip}]:{at}" if ":" in ip else f"http://{ip}:{at}" for ip, at in places]
    return tuple(dict.fromkeys(found))
