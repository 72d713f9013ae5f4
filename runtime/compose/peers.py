"""The other Hearths of `[fleet] peers`, wired into the runtime: connections, summaries, the door. Imported only where there
are peers.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from local_models.wire.codec import EngineCodec
from local_models.wire.hop import EngineHop
from local_models.wire.url import is_loopback
from runtime import __version__
from runtime.contract.backend import Backend, Lane, Uploads
from runtime.contract.failures import HopError
from runtime.contract.guard import Guard, Receiver
from runtime.contract.hop import Hop
from runtime.contract.targets import LOCAL, PEER, Target
from runtime.fleet.peers import Peers, PeerSummary
from runtime.life.desk import Desk
from runtime.server.hops import Hops
from runtime.server.pages.fleet import FleetReport
from runtime.settings import Settings
from runtime.settings.editable import shown
from runtime.settings.shape import leaves

_EACH_S = 1.0
_ASKED_S = 1.0
_RESOLVED_S = 5.0
_OWN = frozenset({"fleet", "server", "records", "engine"})  # sections in which the Hearths of a fleet rightly differ
_DIALECTS = frozenset({"openai_chat", "openai_completions", "openai_embeddings", "anthropic_messages"})


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
        can = replace(local.capabilities, continues=False, priorities=False, sessions=False)
        return replace(self._as_peer, model=local.model, capabilities=can, timeouts=local.timeouts)


class PeerRoom:
    """Puts the peers into the desk's plans, and gives the pages, the door and the chore of a fleet.

    settings: at the start; [fleet] needs a restart.
    """

    def __init__(self, desk: Desk, settings: Settings, guard: Guard) -> None:
        self._desk, self._settings, self._guard = desk, settings, guard
        self._key = settings.fleet.key.value if settings.fleet.key is not None else None
        self._digest = digest_of(settings)
        self._hops: dict[str, EngineHop] = {}
        self.peers = Peers(self.own, self._connect, desk.clock)
        self.peers.know(tuple(each for each in settings.fleet.peers if not each.startswith("dns:")))
        desk.peers = self.peers.beside
        desk.fleet.peers = self.peers.backend
        self.admit = Hops(desk)

    def own(self) -> PeerSummary:
        """This Hearth, as it tells the others."""
        fleet = self._desk.fleet
        load = fleet.load()
        target = fleet.local.target
        if load is None or self._desk.draining:
            return PeerSummary(self._settings.fleet.name, target.model, version=__version__, settings=self._digest)
        reading = load.reading
        return PeerSummary(
            self._settings.fleet.name,
            target.model,
            True,
            reading.waiting,
            reading.running,
            reading.predicted_ttft_s * 1000,
            str(load.pressure.over or ""),
            __version__,
            self._digest,
        )

    def states(self) -> dict[str, str]:
        """The state of each peer, by its address."""
        return {each.address: str(each.state) for each in self.peers.standings()}

    def report(self) -> FleetReport:
        """`/hearth/fleet`."""
        return FleetReport(self.own(), self.peers.standings())

    async def run(self) -> None:
        """Asks every peer for its summary each second, until cancelled."""
        resolved_at = -_RESOLVED_S
        while True:
            if self._desk.clock() - resolved_at >= _RESOLVED_S:
                resolved_at = self._desk.clock()
                self.peers.know(await _addresses(self._settings.fleet.peers, self.peers.addresses))
            await asyncio.gather(*[self._listen(each) for each in self.peers.addresses])
            await asyncio.sleep(_EACH_S)

    async def _listen(self, address: str) -> None:
        try:
            status, body = await self._hops[address].probe("/hearth/fleet", _ASKED_S, at_most=1 << 20)
            if status != 200:
                self.peers.failed(address, f"{address} answered {status}: is [fleet] key the same there?")
                return
            self.peers.heard(address, msgspec.json.decode(body, type=FleetReport).own)
        except HopError as error:
            self.peers.failed(address, error.failure.message)
        except msgspec.DecodeError as error:
            self.peers.failed(address, f"{address} is no Hearth of this protocol: {error}")

    def _connect(self, address: str) -> Backend:
        """The peer at an address. Without TLS nothing that demands a certificate goes to another machine."""
        fleet = self._desk.fleet
        here = is_loopback(address)
        sealed = here or urlsplit(address).scheme == "https"
        certified = frozenset(self._settings.engine.certified) if sealed else frozenset[str]()
        name = f"{PEER}{urlsplit(address).netloc}"
        exit = None if here else (self._guard, Receiver(LOCAL, address, certified))
        hop = self._hops[address] = EngineHop(
            base_url=f"{address}/v1", key=self._key, clock=self._desk.clock, exit=exit
        )
        as_peer = Target(name, LOCAL, "", certified=certified, on_box=here, dialects=_DIALECTS, peer=True)
        return PeerBackend(lambda: fleet.local.target, as_peer, PeerLane(name, hop))


def digest_of(settings: Settings) -> str:
    """By it two Hearths notice that they decide by different settings. Secrets count by their references alone."""
    every = [(key, shown(value)) for key, value in leaves(settings) if key[0] not in _OWN]
    return hashlib.sha256(msgspec.json.encode(sorted(every, key=lambda pair: str(pair[0])))).hexdigest()[:12]


async def _addresses(listed: Sequence[str], before: Sequence[str]) -> tuple[str, ...]:
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
