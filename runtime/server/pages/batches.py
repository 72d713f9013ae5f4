"""`/v1/batches` and `/v1/messages/batches`: work for an idle engine, on the wires of chat and of messages.

A caller sees its own batches only. What a batch demands (`x-hearth-requires`) holds for each of its lines.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs

import msgspec

from runtime.batch.database import BatchDatabase
from runtime.batch.lane import BatchLane
from runtime.batch.lines import Refused, check_endpoint, read_requests
from runtime.batch.shapes import batch_object, message_batch_object, message_result
from runtime.batch.store import BatchStore
from runtime.batch.values import MESSAGES, Batch, Wire
from runtime.contract.owner_ids import owned
from runtime.life.desk import Desk
from runtime.server.access_policy import AccessPolicy
from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.server.forwarding import elsewhere, reads
from runtime.server.pages.listed import listed
from runtime.server.pages.requires import requires_of
from runtime.wire.api_error import ApiError, nothing_at
from runtime.wire.window import limit_of

PATH = "/v1/batches"
MESSAGE_PATH = "/v1/messages/batches"
_CANCEL, _RESULTS = "/cancel", "/results"
_WINDOW = re.compile(r"([1-9][0-9]{0,2})h")
_MOST_LISTED = 100
_MOST_MESSAGE_BATCHES = 1000  # of a page
_RESULTS_AT_A_TIME = 200


# Bounds of the wire: they are stored with the batch and come back with every look at it.
_Metadata = dict[Annotated[str, msgspec.Meta(max_length=64)], Annotated[str, msgspec.Meta(max_length=512)]]


class _ExpiresAfter(msgspec.Struct):
    anchor: Literal["created_at"]
    seconds: Annotated[int, msgspec.Meta(ge=3600, le=2_592_000)]


class _Wanted(msgspec.Struct):
    input_file_id: str
    endpoint: Any = None
    completion_window: str = "24h"
    metadata: Annotated[_Metadata, msgspec.Meta(max_length=16)] | None = None
    output_expires_after: _ExpiresAfter | None = None
    hearth: Any = None


class _Hinted(msgspec.Struct):
    hearth: Any = None


_wanted = msgspec.json.Decoder(_Wanted)
_hinted = msgspec.json.Decoder(_Hinted)


class BatchPages:
    """Batches belong to the id of the caller. policy: the one in force."""

    def __init__(self, desk: Desk, store: BatchStore, lane: BatchLane, policy: Callable[[], AccessPolicy]) -> None:
        self._desk, self._store, self._lane, self._policy = desk, store, lane, policy

    def table(self) -> dict[tuple[str, str], Page]:
        return {
            ("POST", PATH): self.create,
            ("GET", PATH): self.every,
            ("GET", f"{PATH}/"): self.one,
            ("POST", f"{PATH}/"): self.cancel,
            ("POST", MESSAGE_PATH): self.create_messages,
            ("GET", MESSAGE_PATH): self.every_messages,
            ("GET", f"{MESSAGE_PATH}/"): self.one_messages,
            ("POST", f"{MESSAGE_PATH}/"): self.cancel_messages,
            ("DELETE", f"{MESSAGE_PATH}/"): self.delete_messages,
        }

    # OpenAI's wire

    async def create(self, request: ClientRequest, extra: Pairs) -> None:
        """A batch of the lines of a file, which are checked behind this answer. Raises ApiError."""
        try:
            wanted = _wanted.decode(sent := await request.body(self._desk.max_body))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ApiError(400, f"the body is not a batch: {error}", "invalid_body") from error
        fault = check_endpoint(wanted.endpoint, self._lane.dialects)
        if fault is not None:
            raise ApiError(400, fault, "invalid_endpoint", "endpoint")
        window = _WINDOW.fullmatch(wanted.completion_window)
        if window is None:
            raise ApiError(400, "completion_window must be a number of hours, as 24h", "invalid", "completion_window")
        owner, requires = request.caller.id, requires_of(request, wanted.hearth)
        file = await self._store.call(lambda database: database.file(wanted.input_file_id, owner))
        if file is None or file.purpose != "batch" or file.expires_at <= self._desk.wall():
            words = f"no input file {wanted.input_file_id[:100]!r} of purpose 'batch' is kept"
            unknown = ApiError(400, words, "file_not_found", "input_file_id")
            raise elsewhere(unknown, wanted.input_file_id, sent)
        batch = self._new("openai", wanted.endpoint, owner, {*requires, *file.requires}, int(window[1]))
        kept_s = wanted.output_expires_after.seconds if wanted.output_expires_after else 0
        batch = msgspec.structs.replace(
            batch, input_file=file.id, window=wanted.completion_window, metadata=wanted.metadata, kept_s=kept_s
        )
        await self._store.call(lambda database: database.add_batch(batch))
        self._lane.wake()
        await request.answer_json(200, batch_object(batch), extra)

    async def every(self, request: ClientRequest, extra: Pairs) -> None:
        owner = request.caller.id
        found = await self._store.call(lambda database: database.batches(owner, "openai"))
        await request.answer_json(200, listed(list(map(batch_object, found)), request.query, 20, _MOST_LISTED), extra)

    async def one(self, request: ClientRequest, extra: Pairs) -> None:
        batch = await self._batch(request.path.removeprefix(f"{PATH}/"), request, "openai")
        await request.answer_json(200, batch_object(batch), extra)

    async def cancel(self, request: ClientRequest, extra: Pairs) -> None:
        """Keeps what is done and lets end what runs. Raises ApiError 409 for a batch that has ended."""
        batch = await self._cancelled(request, PATH, "openai")
        await request.answer_json(200, batch_object(batch), extra)

    # the messages wire's wire

    async def create_messages(self, request: ClientRequest, extra: Pairs) -> None:
        """A batch of the requests in the body. Raises ApiError."""
        settings = self._lane.settings
        body = await request.body(settings.max_file_mb * 1_000_000)
        try:
            lines = read_requests(body, settings.max_requests)
        except Refused as refused:
            first = refused.errors[0]
            raise ApiError(400, first.message, first.code, first.param) from refused
        batch = self._new(
            "messages", MESSAGES, request.caller.id, set(requires_of(request, _hinted.decode(body).hearth)), 24
        )
        batch = batch.at("in_progress", batch.created_at)
        await self._store.call(lambda database: database.add_batch(batch, lines))
        self._lane.wake()
        await self._show(request, batch.id, extra)

    async def every_messages(self, request: ClientRequest, extra: Pairs) -> None:
        """Pages by `after_id` and `before_id`, newest first. Raises ApiError 400."""
        asked = {name: values[-1] for name, values in parse_qs(request.query).items()}
        limit = limit_of(asked, 20, _MOST_MESSAGE_BATCHES)
        owner, base = request.caller.id, self._policy().address(request)
        found = await self._store.call(lambda database: database.batches(owner, "messages"))
        ids = [batch.id for batch in found]
        for name in ("after_id", "before_id"):
            if name in asked and asked[name] not in ids:
                raise ApiError(400, f"{name} is the id of no batch of yours", "invalid_request_error", name)
        begin = ids.index(asked["after_id"]) + 1 if "after_id" in asked else 0
        end = ids.index(asked["before_id"]) if "before_id" in asked else len(ids)
        if "before_id" in asked:
            begin = max(begin, end - limit)
        page = found[begin : min(end, begin + limit)]
        more = begin > 0 if "before_id" in asked else begin + len(page) < len(found)
        ends = {"first_id": page[0].id if page else None, "last_id": page[-1].id if page else None}
        shown = [message_batch_object(each, base) for each in page]
        await request.answer_json(200, {"data": shown, "has_more": more, **ends}, extra)

    async def one_messages(self, request: ClientRequest, extra: Pairs) -> None:
        """The batch, or its results. Raises ApiError 404, and 400 for results before the end."""
        name = request.path.removeprefix(f"{MESSAGE_PATH}/")
        if not name.endswith(_RESULTS):
            await self._show(request, name, extra)
            return
        batch = await self._batch(name.removesuffix(_RESULTS), request, "messages")
        if not batch.ended:
            raise ApiError(400, "the batch has not ended yet: its results come then", "invalid_request_error")
        reads(request, frozenset(batch.requires))
        await request.start(200, [*extra, (b"content-type", b"application/x-jsonl")])
        last, wanted = -1, request.method != "HEAD"
        while wanted and (found := await self._store.call(partial(_results, batch.id, last))):
            last = found[-1].number
            lines = b"".join(map(message_result, found))
            await request.send({"type": "http.response.body", "body": lines, "more_body": True})
        await request.send({"type": "http.response.body", "body": b""})

    async def cancel_messages(self, request: ClientRequest, extra: Pairs) -> None:
        batch = await self._cancelled(request, MESSAGE_PATH, "messages")
        await request.answer_json(200, message_batch_object(batch, self._policy().address(request)), extra)

    async def delete_messages(self, request: ClientRequest, extra: Pairs) -> None:
        batch = await self._batch(request.path.removeprefix(f"{MESSAGE_PATH}/"), request, "messages")
        if not batch.ended:
            raise ApiError(400, "the batch has not ended yet: cancel it first", "invalid_request_error")
        await self._store.call(lambda database: database.drop_batch(batch.id))
        await request.answer_json(200, {"id": batch.id, "type": "message_batch_deleted"}, extra)

    async def _show(self, request: ClientRequest, id: str, extra: Pairs) -> None:
        batch = await self._batch(id, request, "messages")
        await request.answer_json(200, message_batch_object(batch, self._policy().address(request)), extra)

    # Both

    def _new(self, wire: Wire, endpoint: str, owner: str, requires: set[str], hours: int) -> Batch:
        now = int(self._desk.wall())
        id = owned(f"{'batch' if wire == 'openai' else 'msgbatch'}_{secrets.token_hex(12)}", self._desk.ids.owner)
        until = now + min(hours, self._lane.settings.expire_hours) * 3600
        return Batch(id, owner, wire, endpoint, now, until, requires=tuple(sorted(requires)))

    async def _batch(self, id: str, request: ClientRequest, wire: Wire) -> Batch:
        found = await self._store.call(lambda database: database.batch(id, request.caller.id))
        if found is None or found.wire != wire:
            raise ApiError(404, f"no batch {id[:100]!r} is kept", "batch_not_found")
        return found

    async def _cancelled(self, request: ClientRequest, path: str, wire: Wire) -> Batch:
        name = request.path.removeprefix(f"{path}/")
        if not name.endswith(_CANCEL):
            raise nothing_at(request.path)
        batch = await self._batch(name.removesuffix(_CANCEL), request, wire)
        if batch.status == "cancelling" or (wire == "messages" and batch.ended):
            return batch
        if batch.ended or batch.status == "finalizing":
            raise ApiError(409, f"the batch is {batch.status} and cannot be cancelled", "batch_ended")
        now = int(self._desk.wall())
        await self._store.call(partial(BatchDatabase.cancel, id=batch.id, now=now))
        self._lane.wake()
        return await self._batch(batch.id, request, wire)


def _results(id: str, after: int, database: BatchDatabase) -> list[Any]:
    return database.results_after(id, after, _RESULTS_AT_A_TIME)
