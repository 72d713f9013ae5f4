"""Decision records of a span of time, for the chores of the evaluation: in pages, so that the loop is never held up."""

from __future__ import annotations

from runtime.record.database import Query
from runtime.record.decisions import Decision
from runtime.record.store import Store

_PAGE = 500
MOST = 5_000


async def recorded(store: Store, since: float, until: float, most: int = MOST) -> list[Decision]:
    """The latest ones of those unix seconds, newest first, at most so many and the rest of a page."""
    found: list[Decision] = []
    while len(found) < most:
        before = found[-1].id if found else None
        page = await store.list(Query(limit=_PAGE, before=before, since=since, until=until))
        found += page
        if len(page) < _PAGE:
            break
    return found
