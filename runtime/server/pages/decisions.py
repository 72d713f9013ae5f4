"""`/hearth/decisions` and `/hearth/decisions/ID`: the decision records, newest first."""

from __future__ import annotations

from urllib.parse import parse_qs

from runtime.record.store import Store
from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.trust.caller import Scope
from runtime.wire.api_error import ApiError
from runtime.wire.window import limit_of

PATH = "/hearth/decisions"
_MOST = 1000
_PARAMETERS = frozenset({"limit", "before", "target", "reason"})


class DecisionPages:
    def __init__(self, store: Store) -> None:
        self._store = store

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", PATH): self.every, ("GET", f"{PATH}/"): self.one}

    async def every(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError 400 for a parameter that is unknown or out of bounds."""
        asked = {name: values[-1] for name, values in parse_qs(request.query).items()}
        unknown = set(asked) - _PARAMETERS
        if unknown:
            raise ApiError(400, f"unknown parameter {min(unknown)!r}", "invalid_parameter", min(unknown))
        rows = await self._store.list(
            limit_of(asked, 50, _MOST),
            before=asked.get("before"),
            target=asked.get("target"),
            reason=asked.get("reason"),
            caller=_own(request),
        )
        await request.answer_json(200, {"object": "list", "data": rows}, extra)

    async def one(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError 404 if no decision of the caller's is kept under this id."""
        id = request.path.removeprefix(f"{PATH}/")
        found = await self._store.get(id)
        if found is None or _own(request) not in (None, found.caller):
            raise ApiError(404, f"no decision {id[:100]!r} is kept", "decision_not_found")
        await request.answer_json(200, found, extra)


def _own(request: ClientRequest) -> str | None:
    """The only caller whose decisions are shown; None: everybody's."""
    return None if request.caller.may(Scope.READ) else request.caller.id
