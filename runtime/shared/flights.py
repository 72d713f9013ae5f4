"""The requests that each Hearth of a fleet has in flight on engines that nobody owns, told over the store's channel.

Every 50 ms a Hearth publishes the rows that have changed, and once a second all of them. Nothing is stored, and durations are
the receiver's own: no clock of one Hearth is compared with another's. A Hearth that was not heard for three seconds is taken
to be gone. Where a Hearth's own messages do not come back either it is the store that is away: then each other Hearth is
taken to have as much in flight as this one (`runtime.load.others`).

    engine_name      the name that all Hearths have for an engine
    SharedFlights    the messages of one Hearth, and what the others said
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from runtime.fleet.fleet import LiveFleet
from runtime.fleet.store import AttachedStanding
from runtime.load.others import EngineOthers, FlightRow
from runtime.shared.channel import StoreChannel

PROTOCOL = 1  # another one is not read; members that are not known are ignored
GONE_S = 3.0
LARGEST = 1 << 16  # bytes of a message
_BATCH_S = 0.05
_WHOLE_S = 1.0
_ECHO_S = 1.5  # since its own message came back: until then silence is that of the others
_SETTLED_S = 0.3  # after the store is back: the others have told everything
_MOST_HEARTHS = 256
_PORTS = {"http": 80, "https": 443}


class _Version(msgspec.Struct, array_like=True):
    protocol: int


class FlightMessage(msgspec.Struct, frozen=True, array_like=True):
    """run: another one for each start of a process. number: rises. whole: rows are all of its engines, by name.

    name: of `[fleet]`, for people. Members are added at the end.
    """

    protocol: int
    run: Annotated[str, msgspec.Meta(max_length=64)]
    number: int
    whole: bool
    rows: dict[str, FlightRow]
    name: Annotated[str, msgspec.Meta(max_length=64)] = ""


_version, _message = msgspec.msgpack.Decoder(_Version), msgspec.msgpack.Decoder(FlightMessage)


def engine_name(url: str, machine: str = "") -> str:
    """A digest of the url, in one spelling. machine: of a loopback url, the one that it leads to: each has its own."""
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), f"this machine {machine}" if machine else (parts.hostname or "").lower()
    plain = f"{scheme}://{host}:{parts.port or _PORTS.get(scheme, 0)}{parts.path.rstrip('/')}"
    return hashlib.sha256(plain.encode()).hexdigest()[:12]


class _Heard(msgspec.Struct):
    name: str
    number: int
    at: float


class _Attached(msgspec.Struct):
    """An engine, by the lane that leads to it."""

    lane: str
    address: str
    others: EngineOthers


class SharedFlights:
    """engines: by lane, the name that all Hearths have for the engine it leads to, and its address.

    name: of this Hearth, for people. hearths: how many there may be before any was heard. clock: monotonic seconds.
    """

    def __init__(
        self,
        fleet: LiveFleet,
        engines: Mapping[str, tuple[str, str]],
        name: str,
        hearths: int,
        clock: Callable[[], float],
    ) -> None:
        self._fleet, self._clock, self._name = fleet, clock, name
        self._engines = {
            shared: _Attached(lane, address, EngineOthers(hearths)) for lane, (shared, address) in engines.items()
        }
        self._run = secrets.token_hex(6)
        self._number = 0
        self._sent: dict[str, tuple[int, int, int, int, int]] = {}
        self._whole_at = -_WHOLE_S
        self._heard: dict[str, _Heard] = {}
        self._echo_at: float | None = None  # when a message of this Hearth last came back,
        self._back_at = 0.0  # and when one first did after it was away
        self._assumed = True
        self._assume()

    async def publish(self, channel: StoreChannel) -> None:
        """Says what this Hearth has in flight and keeps what the others said, until cancelled."""
        while True:
            self.turn()
            if not channel.resting and (message := self.message()) is not None and not await channel.send(message):
                self.lost()
            await asyncio.sleep(_BATCH_S)

    def message(self) -> bytes | None:
        """The rows that have changed since the last one, or all of them if these are due; None if there is nothing to say."""
        now = self._clock()
        rows = {name: self._fleet.flights(each.lane) for name, each in self._engines.items()}
        whole = now - self._whole_at >= _WHOLE_S
        flying = {name: (row.waiting, row.tokens, row.running, row.kv, row.begun) for name, row in rows.items()}
        changed = rows if whole else {name: row for name, row in rows.items() if flying[name] != self._sent.get(name)}
        if not changed:
            return None
        self._whole_at = now if whole else self._whole_at
        self._number, self._sent = self._number + 1, flying
        return msgspec.msgpack.encode(FlightMessage(PROTOCOL, self._run, self._number, whole, changed, self._name))

    def farewell(self) -> bytes:
        """The last message of a Hearth that ends in order: it is attached to nothing any more."""
        return msgspec.msgpack.encode(FlightMessage(PROTOCOL, self._run, self._number + 1, True, {}, self._name))

    def lost(self) -> None:
        """The latest message was not taken: the next one says everything."""
        self._whole_at = -_WHOLE_S

    def take(self, data: bytes) -> None:
        """A message of the channel. One that cannot be read, or is older than one before it, is ignored."""
        if len(data) > LARGEST:
            return
        try:
            if _version.decode(data).protocol != PROTOCOL:
                return
            said = _message.decode(data)
        except msgspec.DecodeError:
            return
        now, known = self._clock(), self._heard.get(said.run)
        if said.run == self._run:
            if self._echo_at is None or now - self._echo_at > GONE_S:
                self._back_at = now
            self._echo_at = now
            return
        if (known is None and len(self._heard) >= _MOST_HEARTHS) or (known is not None and said.number <= known.number):
            return
        if known is None:
            self.lost()  # it has heard nothing of this one yet
        self._heard[said.run] = _Heard(said.name, said.number, now)
        for name, each in self._engines.items():
            row = said.rows.get(name)
            if row is not None:
                each.others.heard(said.run, row)
                self._put(each, row)
            elif said.whole and each.others.gone(said.run):
                self._put(each)

    def turn(self) -> None:
        """Drops what is too old, and sees whether the store is away or back."""
        now = self._clock()
        heard = self._echo_at is not None and now - self._echo_at <= GONE_S
        if not heard and not self._assumed:
            self._assumed = True
            self._assume()
        elif heard and self._assumed and now - self._back_at >= _SETTLED_S:
            self._assumed = False
            for each in self._engines.values():
                self._put(each)
        for run in [run for run, each in self._heard.items() if now - each.at > GONE_S]:
            del self._heard[run]
            for each in self._engines.values():
                if each.others.gone(run):
                    self._put(each)

    def standings(self) -> tuple[AttachedStanding, ...]:
        """The requests of the others on each engine, and how old they are."""
        now, found = self._clock(), []
        for each in self._engines.values():
            heard = [self._heard[run] for run in each.others.rows if run in self._heard]
            others = each.others.flights(certain=False)
            found.append(
                AttachedStanding(
                    each.lane,
                    each.address,
                    each.others.last,
                    tuple(sorted(one.name for one in heard)),
                    others.waiting,
                    others.tokens,
                    others.running,
                    others.kv,
                    max([now - one.at for one in heard], default=None),
                    self._assumed and each.others.last > 1,
                )
            )
        return tuple(found)

    def _put(self, each: _Attached, row: FlightRow | None = None) -> None:
        """The others' requests of an engine, as heard, in force."""
        if self._assumed:
            return
        certain = self._echo_at is not None and self._clock() - self._echo_at <= _ECHO_S
        others = each.others.flights(certain=certain)
        self._fleet.hear(each.lane, others, max([one.others.last for one in self._engines.values()]), row)

    def _assume(self) -> None:
        """Nothing is heard: each of the others is taken to have as much in flight as this one."""
        self._heard.clear()
        for each in self._engines.values():
            self._fleet.hear(each.lane, each.others.unheard(), max([one.others.last for one in self._engines.values()]))
