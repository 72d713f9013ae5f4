"""`GET /hearth/models`: the catalogue of models, whether each fits this box, what it takes on its disk, and who serves it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from runtime.server.asgi import ClientRequest, Page, Pairs

PATH = "/hearth/models"


class CatalogueModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model. Sizes in bytes. served_by: the engine of this box ("local") and configured targets, by name.

    fits: for 4 requests of 8,192 tokens at once, None where the engine runs elsewhere. why: in sentences. disk_bytes: of
    its files here, 0 without any. whole: all of them are here.
    """

    name: str
    title: str
    hub: str | None
    parameters: int
    weights_bytes: int
    context: int
    licence: str
    gated: bool
    tools: bool
    modalities: tuple[str, ...]
    fits: bool | None
    why: tuple[str, ...]
    disk_bytes: int
    whole: bool
    served_by: tuple[str, ...]


class CataloguePage:
    """read: makes the list; it looks at the disk, so a thread calls it."""

    def __init__(self, read: Callable[[], tuple[CatalogueModel, ...]]) -> None:
        self._read = read

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", PATH): self.every}

    async def every(self, request: ClientRequest, extra: Pairs) -> None:
        await request.answer_json(200, {"object": "list", "data": await asyncio.to_thread(self._read)}, extra)
