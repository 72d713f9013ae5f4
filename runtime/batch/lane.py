"""The batch lane: runs the lines of batches beside other traffic, on what the engine has left over.

    validating -> in_progress -> finalizing -> completed
               -> failed         -> cancelling -> cancelled    -> expired

A slot of each replica and a part of its KV cache stay free, and nothing starts while somebody else's request waits. A line
that cannot run now (engine down, queue full, shut-down) stays pending, without an end, and runs later; so does one whose
process died. An end is stored once, and while one cannot be stored (a full disk) no other line starts: each has its price.
Batches take turns, line by line, so that a short one does not wait for a long one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus

from msgspec.structs import replace

from runtime.batch.database import BatchDatabase
from runtime.batch.lines import Refused, read_file
from runtime.batch.shapes import BatchTally, output_line
from runtime.batch.store import BatchStore
from runtime.batch.values import (
    ENDPOINTS,
    MESSAGES,
    Batch,
    BatchLine,
    LineError,
    LineOutcome,
    LineResult,
    Status,
    StoredFile,
)
from runtime.dialects.seam import Dialect
from runtime.life.allowance import expected_tokens, limited_tokens
from runtime.life.ask import Ask
from runtime.life.collected import Collected
from runtime.life.desk import Desk
from runtime.life.life import live
from runtime.routing.facts.hints import MEMBER
from runtime.routing.plan.refusals import BUDGET_EXCEEDED
from runtime.settings import BatchSettings
from runtime.trust.caller import Caller, Scope
from runtime.trust.rates import LimitedError
from runtime.trust.stack import stack_of
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody

_LOOK_S = 0.25  # between two looks for room while there is work
_IDLE_S = 5.0  # between two looks for work
_SWEEP_S = 3600.0
_AHEAD = 32  # lines of a batch read at a time
_TRIES = 3  # of a line whose candidates all failed
_HEADERS = {"x-hearth-priority": "batch"}
_NOT_HERE = ("stream", "previous_response_id", "conversation")
_PASSING = frozenset({429, 502, 503, 504})
_LONGEST_PAUSE_S = 30.0
_LONGEST_HOLD_S = 60.0
_log = logging.getLogger("hearth.batch")

DialectFor = Callable[[RawBody], Dialect]


def for_any_body(dialects: Mapping[str, Dialect]) -> dict[str, DialectFor]:
    """Dialects that are the same for every body."""

    def always(dialect: Dialect, _: RawBody) -> Dialect:
        return dialect

    return {path: partial(always, each) for path, each in dialects.items()}


class BatchLane:
    """dialects: by endpoint, made for one body. room: lines that may start beside so many of ours that run."""

    def __init__(
        self,
        desk: Desk,
        store: BatchStore,
        dialects: Mapping[str, DialectFor],
        settings: BatchSettings,
        room: Callable[[int], int],
        *,
        idle_s: float = _IDLE_S,
        look_s: float = _LOOK_S,
    ) -> None:
        self.settings = settings
        self.dialects = {path: dialects[path] for path in (*ENDPOINTS, MESSAGES) if path in dialects}
        self._desk, self._store, self._room = desk, store, room
        self._idle_s, self._look_s = idle_s, look_s
        self.owner: Callable[[str], Caller] = lambda id: Caller(id, frozenset({Scope.GENERATE}))
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._taken: set[tuple[str, int]] = set()  # lines under way
        self._tries: dict[tuple[str, int], int] = {}  # of lines that failed and run again
        self._ahead: dict[str, deque[BatchLine]] = {}
        self._held: dict[str, float] = {}  # batches that wait for the next period of a budget, until then; monotonic
        self._unstored: set[tuple[str, int]] = set()  # lines with an end that the disk does not take
        self._swept_at = 0.0

    def wake(self) -> None:
        """There is work, or room."""
        self._wake.set()

    @property
    def in_flight(self) -> int:
        return len(self._running)

    async def run(self) -> None:
        """Works until cancelled; what is under way then has no end and runs again after the next start."""
        try:
            while True:
                self._wake.clear()
                busy = False
                with contextlib.suppress(ApiError):  # of the store, which has logged it; lines under way go on
                    busy = await self._turn()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._look_s if busy else self._idle_s):
                        await self._wake.wait()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _turn(self) -> bool:
        """Brings every batch as far as it can go now. True while there is one."""
        if not self._store.begun:
            return False
        now = int(self._desk.wall())
        if now - self._swept_at >= _SWEEP_S:
            self._swept_at = now
            kept_since = now - self.settings.keep_days * 86_400
            await self._store.call(lambda database: database.sweep(now, kept_since))
        batches = await self._store.call(BatchDatabase.running)
        ready: deque[Batch] = deque()
        for batch in batches:
            if batch.status == "validating":
                await self._store.call(partial(_validate, batch, now, self.settings.max_requests))
                self._wake.set()
            elif batch.status == "finalizing":
                await self._store.call(partial(_finish, batch, now, self.settings.keep_days))
            elif now >= batch.expires_at or batch.status == "cancelling":
                await self._close(batch, now)
            elif self.owner(batch.owner).revoked:
                await self._store.call(partial(BatchDatabase.cancel, id=batch.id, now=now))
                self._wake.set()
            elif batch.counts.left == 0:
                self._forget(batch.id)
                await self._store.call(partial(_finalize, batch.id, now))
                self._wake.set()
            elif self._held.get(batch.id, 0.0) <= self._desk.clock():
                self._held.pop(batch.id, None)
                ready.append(batch)
        await self._fill(ready)
        return bool(batches)

    async def _close(self, batch: Batch, now: int) -> None:
        """Of an expired or cancelled batch: what runs may end, then the rest gets its end."""
        self._forget(batch.id)
        if any(id == batch.id for id, _ in self._taken):
            return
        outcome: LineOutcome = "canceled" if batch.status == "cancelling" else "expired"
        await self._store.call(lambda database: database.settle_rest(batch.id, outcome))
        await self._store.call(partial(_finalize, batch.id, now))
        self._wake.set()

    def _forget(self, id: str) -> None:
        """Drops what is remembered of a batch that starts no more lines."""
        self._ahead.pop(id, None)
        self._held.pop(id, None)
        for key in [each for each in self._tries if each[0] == id]:
            del self._tries[key]

    async def _fill(self, ready: deque[Batch]) -> None:
        """Starts lines, one of each batch in turn, while there is room."""
        room = 0 if self._desk.draining or self._unstored else self._room(self.in_flight)
        while ready and room > 0:
            batch = ready.popleft()
            ahead = self._ahead.setdefault(batch.id, deque())
            if not ahead:
                most = _AHEAD + len(self._taken)
                found = await self._store.call(partial(_pending, batch.id, most))
                ahead.extend([line for line in found if (batch.id, line.number) not in self._taken])
            if not ahead:
                continue
            line = ahead.popleft()
            self._taken.add((batch.id, line.number))
            task = asyncio.create_task(self._line(batch, line), name=f"hearth: {batch.id} line {line.number}")
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            task.add_done_callback(lambda _: self._wake.set())
            ready.append(batch)
            room -= 1

    async def _line(self, batch: Batch, line: BatchLine) -> None:
        """One line: to its end, or back to those that are pending."""
        key = (batch.id, line.number)
        try:
            result, pause_s = await self._asked(batch, line)
            while result is not None:
                try:
                    await self._store.call(partial(_settle, batch.id, result))
                    self._tries.pop(key, None)
                    return
                except ApiError:
                    self._unstored.add(key)
                    await asyncio.sleep(self._idle_s)
            await asyncio.sleep(pause_s)
        finally:
            self._unstored.discard(key)
            self._taken.discard(key)

    async def _asked(self, batch: Batch, line: BatchLine) -> tuple[LineResult | None, float]:
        """The end of a line; None where it has to wait, and for how many seconds.

        What could not be asked waits. What was asked and failed on the other side is tried three times, not for a day.
        """
        sink, id, asked = Collected(), self._desk.ids.next(), False
        dialect = self.dialects[batch.endpoint](RawBody(b"{}"))
        try:
            body = RawBody(line.body)
            dialect = self.dialects[batch.endpoint](body)
            dialect.check(body)
            for member in _NOT_HERE:
                if body.data.get(member):
                    raise BadBody(f"a line of a batch has no {member!r}", member)
            hints = body.data.get(MEMBER)
            if isinstance(hints, dict) and hints.get("priority") not in (None, "batch"):
                raise BadBody("a line of a batch has no priority but 'batch'", f"{MEMBER}.priority")
            caller = self.owner(batch.owner)
            ask = Ask(id, dialect, body, _HEADERS, self._desk.clock(), caller, frozenset(batch.requires))
            if limited_tokens(ask):
                tokens = expected_tokens(self._desk, ask)
                if self._desk.limiter.shared:
                    await self._desk.limiter.ready(caller, tokens)
                self._desk.limiter.reserve(id, caller, tokens)
            settled = await live(self._desk, ask, sink)
            error, asked = settled.error, bool(settled.decision.attempts)
        except BadBody as bad:
            error = ApiError(400, str(bad), "invalid_body", bad.place)
        except LimitedError as limited:
            error = ApiError(429, str(limited), "rate_limit_exceeded", None, limited.retry_s)
        except ApiError as refused:
            error = refused
        except Exception as fault:  # noqa: BLE001 - the floor: a line that always raises would run again at once, for ever
            _log.error("%s line %d failed:\n%s", batch.id, line.number, stack_of(fault))
            error = ApiError(
                500, f"the server failed to answer; its log says where, under {batch.id}", "internal_error"
            )
        if error is None:
            return LineResult(line.number, line.custom_id, "succeeded", 200, id, sink.body), 0.0
        if error.code == BUDGET_EXCEEDED and error.retry_after is not None:
            # Its other lines would be refused as well: all of them wait, and are tried again now and then.
            self._held[batch.id] = self._desk.clock() + min(error.retry_after, _LONGEST_HOLD_S)
            return None, 0.0
        tries = self._tries.get((batch.id, line.number), 0)
        if error.status in _PASSING and (
            not asked or error.status == HTTPStatus.TOO_MANY_REQUESTS or tries + 1 < _TRIES
        ):
            self._tries[batch.id, line.number] = tries + (1 if asked else 0)
            return None, min(_LONGEST_PAUSE_S, max(error.retry_after or 0.0, self._look_s * 2**tries))
        return LineResult(line.number, line.custom_id, "failed", error.status, id, dialect.error_body(error)), 0.0


def _finalize(id: str, now: int, database: BatchDatabase) -> None:
    """Asked of the batch as it is now: it may have been cancelled meanwhile."""
    if (batch := database.batch(id)) is not None:
        database.save(batch.at("finalizing", now))


def _settle(id: str, result: LineResult, database: BatchDatabase) -> None:
    database.settle(id, result)


def _pending(id: str, most: int, database: BatchDatabase) -> list[BatchLine]:
    return database.pending(id, most)


def _validate(batch: Batch, now: int, most: int, database: BatchDatabase) -> None:
    """Reads the input file into lines; a file with a fault fails the batch, with every fault named."""
    found = database.batch(batch.id)
    if found is None or found.status != "validating":
        return  # cancelled meanwhile
    try:
        with (database.contents / (batch.input_file or "")).open("rb") as content:
            database.add_batch(batch.at("in_progress", now), read_file(content, batch.endpoint, most))
        return
    except Refused as refused:
        errors = refused.errors
    except (FileNotFoundError, IsADirectoryError):
        errors = (LineError("file_not_found", "the input file is gone"),)
    database.save(replace(batch.at("failed", now), errors=errors))


def _finish(batch: Batch, now: int, keep_days: int, database: BatchDatabase) -> None:
    """Writes the files with the answers and the errors. Done again from the start if it was interrupted."""
    status: Status = "completed"
    if "cancelling" in batch.stamps:
        status = "cancelled"
    elif batch.counts.expired:
        status = "expired"
    ended, counts, tally = batch.at(status, now), batch.counts, BatchTally()
    until = now + min(keep_days * 86_400, batch.kept_s or keep_days * 86_400)
    if batch.wire == "openai":
        for good, lines in ((True, counts.succeeded), (False, counts.total - counts.succeeded)):
            if not lines:
                continue
            kind = "output" if good else "error"
            id = f"file-{batch.id.removeprefix('batch_')}-{kind}"
            results = (each for each in database.results(batch.id) if (each.outcome == "succeeded") is good)
            written = (output_line(batch.id, tally.seen(each)) for each in results)
            size, name = database.write_content(id, written), f"{batch.id}_{kind}.jsonl"
            database.add_file(StoredFile(id, batch.owner, "batch_output", name, size, now, until, batch.requires))
            ended = replace(ended, output_file=id) if good else replace(ended, error_file=id)
        ended = tally.of(ended)
    database.save(ended)
