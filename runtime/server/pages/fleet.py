"""`/hearth/fleet`: this Hearth as the others see it, and the others as this one sees them.

A Hearth that asks says in the same breath what it is itself (`?asker=`), so that the one that is asked knows it too.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, quote

import msgspec

from runtime.contract.targets import FLEET
from runtime.fleet.peers import PeerStanding, PeerSummary
from runtime.fleet.store import AttachedStanding, StoreStanding
from runtime.server.asgi import ClientRequest, Page, Pairs

PATH = "/hearth/fleet"
_ASKER = "asker"


class FleetReport(msgspec.Struct, frozen=True):
    """peers: empty for a Hearth that is alone. store: None where nothing is shared. attached: engines that others may use."""

    own: PeerSummary
    peers: tuple[PeerStanding, ...] = ()
    store: StoreStanding | None = None
    attached: tuple[AttachedStanding, ...] = ()


def asking(own: bytes) -> str:
    """The path and query with which a Hearth asks another one. own: its word on itself."""
    return f"{PATH}?{_ASKER}={quote(own)}"


class FleetPage:
    """report: of the present moment. heard: takes the word of another Hearth on itself."""

    def __init__(self, report: Callable[[], FleetReport], heard: Callable[[bytes], None] = lambda word: None) -> None:
        self._report, self._heard = report, heard

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", PATH): self.show}

    async def show(self, request: ClientRequest, extra: Pairs) -> None:
        if request.caller.id == FLEET and (said := parse_qs(request.query).get(_ASKER)):
            self._heard(said[-1].encode())
        await request.answer_json(200, self._report(), extra)
