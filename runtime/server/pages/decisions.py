"""`/hearth/decisions` and `/hearth/decisions/ID`: the decision records, newest first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qs

from runtime.record.database import Query
from runtime.record.decisions import number_of
from runtime.record.store import Store
from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.trust.caller import Scope
from runtime.wire.api_error import ApiError
from runtime.wire.window import limit_of

PATH = "/hearth/decisions"
_MOST = 1000
_PARAMETERS = frozenset({"limit", "before", "target", "reason", "status", "since", "until"})
_STATUS = re.compile(r"([1-5])(xx|\d\d)")
_FAR_S = 1e10


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
        before = asked.get("before")
        if before is not None and number_of(before) is None:
            raise ApiError(400, "before must be the id of a decision", "invalid_parameter", "before")
        limit = limit_of(asked, 50, _MOST)
        query = Query(
            limit + 1,
            before=before,
            target=asked.get("target"),
            reason=asked.get("reason"),
            statuses=_statuses(asked.get("status")),
            caller=_own(request),
            since=_moment(asked, "since"),
            until=_moment(asked, "until"),
        )
        rows = await self._store.list(query)
        page = {"object": "list", "data": rows[:limit], "has_more": len(rows) > limit}
        await request.answer_json(200, page, extra)

    async def one(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError 404 if no decision of the caller's is kept under this id."""
        id = request.path.removeprefix(f"{PATH}/")
        found = await self._store.get(id)
        if found is None or _own(request) not in (None, found.caller):
            raise ApiError(404, f"no decision {id[:100]!r} is kept", "decision_not_found")
        await request.answer_json(200, found, extra)


def _statuses(text: str | None) -> tuple[int, int] | None:
    """The first and the last status that "502" or "5xx" means. Raises ApiError 400."""
    if text is None:
        return None
    found = _STATUS.fullmatch(text)
    if found is None:
        raise ApiError(
            400, "status must be a number such as 502, or a class such as 5xx", "invalid_parameter", "status"
        )
    first = int(found[1]) * 100 + (0 if found[2] == "xx" else int(found[2]))
    return first, first + 99 if found[2] == "xx" else first


def _moment(asked: Mapping[str, str], name: str) -> float | None:
    """A parameter in unix seconds, or as a date and time, in UTC unless it says otherwise. Raises ApiError 400."""
    text = asked.get(name)
    if text is None:
        return None
    try:
        if "-" not in text:
            at = float(text)
        else:
            read = datetime.fromisoformat(text)
            at = (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        at = -1.0
    if not 0 <= at < _FAR_S:
        words = f"{name} must be unix seconds, or a time such as 2026-11-29T14:00:00+01:00"
        raise ApiError(400, words, "invalid_parameter", name)
    return at


def _own(request: ClientRequest) -> str | None:
    """The only caller whose decisions are shown; None: everybody's."""
    return None if request.caller.may(Scope.READ) else request.caller.id
