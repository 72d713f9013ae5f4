"""`/hearth/audit` and `/hearth/audit/verify`: the audit log, newest first, and the judgement on it."""

from __future__ import annotations

import asyncio
from functools import partial
from urllib.parse import parse_qs

from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.trust.audit.log import AuditLog
from runtime.trust.audit.show import latest
from runtime.trust.audit.verify import verify
from runtime.wire.api_error import ApiError
from runtime.wire.window import limit_of

PATH = "/hearth/audit"
_MOST = 1000


class AuditPages:
    """The log is read once all that was asked up to now is written."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", PATH): self.every, ("GET", f"{PATH}/verify"): self.verdict}

    async def every(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError 400 for a parameter that is unknown or out of bounds."""
        asked = {name: values[-1] for name, values in parse_qs(request.query).items()}
        if unknown := set(asked) - {"limit", "before", "decision"}:
            raise ApiError(400, f"unknown parameter {min(unknown)!r}", "invalid_parameter", min(unknown))
        before = asked.get("before", "")
        if before and not (before.isascii() and before.isdigit() and len(before) < 20):
            raise ApiError(400, "before must be the number of a record", "invalid_parameter", "before")
        limit = limit_of(asked, 50, _MOST)
        await asyncio.to_thread(self._log.flush)
        reading = partial(latest, self._log.folder, limit, int(before) if before else None, asked.get("decision"))
        rows = await asyncio.to_thread(reading)
        await request.answer_json(200, {"object": "list", "data": rows}, extra)

    async def verdict(self, request: ClientRequest, extra: Pairs) -> None:
        await asyncio.to_thread(self._log.flush)
        await request.answer_json(200, await asyncio.to_thread(verify, self._log.folder), extra)
