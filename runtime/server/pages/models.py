"""`/v1/models`: `auto`, the engine's models, configured targets and aliases, in the shape of the client's wire."""

from __future__ import annotations

from typing import Any

from runtime.dialects.anthropic_messages import listing
from runtime.life.desk import Desk
from runtime.routing.plan.names import AUTO
from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.wire.api_error import ApiError

PATH = "/v1/models"


class ModelPages:
    """created: unix seconds, shown as the creation time of every model."""

    def __init__(self, desk: Desk, created: int) -> None:
        self._desk = desk
        self._created = created

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", PATH): self.every, ("GET", f"{PATH}/"): self.one}

    async def every(self, request: ClientRequest, extra: Pairs) -> None:
        """Clients that send `anthropic-version` get that wire's list, all others OpenAI's."""
        if listing.wanted(list(request.headers)):
            await request.answer_json(200, listing.page(list(map(_listed, self._rows()))), extra)
            return
        await request.answer_json(200, {"object": "list", "data": self._rows()}, extra)

    async def one(self, request: ClientRequest, extra: Pairs) -> None:
        wanted = request.path.removeprefix(f"{PATH}/")
        for row in self._rows():
            if row["id"] == wanted:
                shown = listing.model(_listed(row)) if listing.wanted(list(request.headers)) else row
                await request.answer_json(200, shown, extra)
                return
        raise ApiError(404, f"no model is called {wanted[:100]!r}", "model_not_found")

    def _rows(self) -> list[dict[str, Any]]:
        fleet = self._desk.fleet
        local, clouds = fleet.local.target, [backend.target for backend in fleet.clouds.backends.values()]
        others = [each.backend.target for each in fleet.models.values()]
        ids = [(name, sent) for name, sent in fleet.engine.served.items() if sent is not None]
        # A folder is listed by its last name, which `served` gives beside the whole path.
        served = [name for name, sent in ids if not name.startswith("/")]
        return [
            self._row(AUTO, "hearth"),
            self._row(local.label, local.provider, local.capabilities.context_tokens),
            *(self._row(each.label, each.provider, each.capabilities.context_tokens) for each in others),
            *(self._row(f"{local.provider}/{name}", local.provider) for name in served),
            *(self._row(each.label, each.provider, each.capabilities.context_tokens) for each in clouds),
            *(self._row(alias, "hearth") for alias in self._desk.planner.policy.directory.aliases),
        ]

    def _row(self, name: str, owner: str, window: int | None = None) -> dict[str, Any]:
        row: dict[str, Any] = {"id": name, "object": "model", "created": self._created, "owned_by": owner}
        return row if window is None else row | {"max_model_len": window}


def _listed(row: dict[str, Any]) -> listing.ModelRow:
    return listing.ModelRow(row["id"], row["created"], row.get("max_model_len"))
