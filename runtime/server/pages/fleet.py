"""`/hearth/fleet`: this Hearth as the others see it, and the others as this one sees them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from runtime.fleet.peers import PeerStanding, PeerSummary
from runtime.fleet.store import AttachedStanding, StoreStanding
from runtime.server.asgi import ClientRequest, Page, Pairs

PATH = "/hearth/fleet"


class FleetReport(msgspec.Struct, frozen=True):
    """peers: empty for a Hearth that is alone. store: None where nothing is shared. attached: engines that others may use."""

    own: PeerSummary
    peers: tuple[PeerStanding, ...] = ()
    store: StoreStanding | None = None
    attached: tuple[AttachedStanding, ...] = ()


class FleetPage:
    """report: of the present moment."""

    def __init__(self, report: Callable[[], FleetReport]) -> None:
        self._report = report

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", PATH): self.show}

    async def show(self, request: ClientRequest, extra: Pairs) -> None:
        await request.answer_json(200, self._report(), extra)
