"""What must be true after a request, however it ended: one answer, one record, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx

from runtime.record.decisions import Decision
from tests.fakes.door import Door
from tests.fakes.upstream import FakeBackend


@dataclass
class Seen:
    """What a client saw. cut: the connection ended in the middle of an answer."""

    status: int | None = None
    kind: str = ""
    body: bytes = b""
    cut: bool = False

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The error of the body, or those of its events."""
        if "event-stream" not in self.kind:
            documents = [self.body]
        else:
            documents = [line[6:] for line in self.body.split(b"\n") if line.startswith(b"data: {")]
        parsed = [json.loads(each) for each in documents if each.strip()]
        return [each for each in parsed if isinstance(each, dict) and _is_error(each)]


def _is_error(document: dict[str, Any]) -> bool:
    """The shapes of the three wires: a member, a message of its own type, a failed response."""
    failed = (document.get("response") or {}).get("status") == "failed" or document.get("type") == "response.failed"
    return bool(document.get("error")) or document.get("type") == "error" or failed


@dataclass
class Watch:
    """Counts the decisions of a door. `backends`: whose replies must all be closed."""

    door: Door
    backends: Iterable[FakeBackend]
    decisions: list[Decision] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.door.desk.settled = (self.decisions.append, *self.door.desk.settled)

    async def ask(self, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Seen:
        """One request to its end."""
        seen = Seen()
        try:
            async with self.door.client.stream("POST", path, json=body, headers=headers) as answer:
                seen.status, seen.kind = answer.status_code, answer.headers.get("content-type", "")
                async for piece in answer.aiter_raw():
                    seen.body += piece
        except (httpx.RemoteProtocolError, httpx.ReadError):
            seen.cut = True
        return seen

    async def ended(self) -> None:
        """Waits until the request's task has ended, for a second at most."""
        for _ in range(200):
            if not self.door.app.tasks:
                return
            await asyncio.sleep(0.005)

    async def at_rest(self) -> list[str]:
        """Complaints about what is left, once the request's task has ended."""
        desk, left = self.door.desk, []
        await self.ended()
        if self.door.app.tasks:
            left.append(f"{len(self.door.app.tasks)} requests still run")
        if desk.fleet.in_flight:
            left.append(f"claims left: {desk.fleet.in_flight}")
        for backend in self.backends:
            for lane in backend.lanes:
                ledger = desk.fleet.ledger(lane)
                if ledger.running or ledger.waiting:
                    left.append(f"{lane.name}: its ledger holds {ledger.running} running, {ledger.waiting} waiting")
                if open_ones := [reply for reply in lane.hop.replies if not reply.closed]:
                    left.append(f"{lane.name}: {len(open_ones)} replies left open")
            breaker = desk.fleet._breakers.get(backend.target.name)
            if breaker is not None and breaker._probe_at is not None:
                left.append(f"{backend.target.name}: a probe is still claimed")
        return left

    def forget(self) -> None:
        """Makes ready for the next request."""
        self.decisions.clear()
        self.door.desk.fleet._breakers.clear()
        for backend in self.backends:
            for lane in backend.lanes:
                lane.hop.replies.clear()
                lane.hop.calls.clear()


@contextlib.asynccontextmanager
async def no_task_left() -> AsyncIterator[None]:
    """Fails where a task that began inside is still there at the end."""
    before = asyncio.all_tasks()
    yield
    for _ in range(100):
        left = {task for task in asyncio.all_tasks() - before if "uvicorn" not in repr(task) and not task.done()}
        if not left:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"tasks left: {left}")
