"""`/hearth/keys`: lists, creates, rotates and revokes keys. Only a new secret is ever shown, once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec

from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.server.pages.wishes import body_as
from runtime.trust.changes import AdminChange
from runtime.trust.key_store import KeyRecord, KeyStore, KeyTerms, UnknownKeyError
from runtime.wire.api_error import ApiError, nothing_at

PATH = "/hearth/keys"
_MOST_BYTES = 100_000
_T = TypeVar("_T")


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """grace_s: seconds that the old secret stays good."""

    grace_s: Annotated[float, msgspec.Meta(ge=0, le=31 * 86400)] = 0.0


class KeyPages:
    """changed: puts the keys in force, before the answer leaves. note: gets every change."""

    def __init__(
        self,
        store: KeyStore,
        changed: Callable[[], None],
        note: Callable[[AdminChange], object],
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._changed, self._note, self._wall = changed, note, wall

    def table(self) -> dict[tuple[str, str], Page]:
        return {
            ("GET", PATH): self.every,
            ("POST", PATH): self.create,
            ("POST", f"{PATH}/"): self.rotate,
            ("DELETE", f"{PATH}/"): self.revoke,
        }

    async def every(self, request: ClientRequest, extra: Pairs) -> None:
        rows = await self._stored(self._store.list)
        await request.answer_json(200, {"object": "list", "data": rows}, extra)

    async def create(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError 400 for terms that cannot be read, 409 for a name in use."""
        terms = await body_as(request, KeyTerms, _MOST_BYTES)
        record, secret = await self._stored(lambda: self._store.create(terms))
        await self._new(request, extra, record, secret, "created")

    async def rotate(self, request: ClientRequest, extra: Pairs) -> None:
        """`POST /hearth/keys/ID/rotate`."""
        named, _, verb = request.path.removeprefix(f"{PATH}/").rpartition("/")
        if verb != "rotate":
            raise nothing_at(request.path)
        grace_s = (await body_as(request, Rotation, _MOST_BYTES)).grace_s
        record, secret = await self._stored(lambda: self._store.rotate(named, grace_s))
        await self._new(request, extra, record, secret, "rotated")

    async def revoke(self, request: ClientRequest, extra: Pairs) -> None:
        named = request.path.removeprefix(f"{PATH}/")
        record = await self._stored(lambda: self._store.revoke(named))
        self._in_force(request, record, "revoked")
        await request.answer_json(200, record, extra)

    async def _new(self, request: ClientRequest, extra: Pairs, record: KeyRecord, secret: str, verb: str) -> None:
        self._in_force(request, record, verb)
        shown: dict[str, Any] = {"key": record, "secret": secret}
        await request.answer_json(200, shown, extra)

    def _in_force(self, request: ClientRequest, record: KeyRecord, verb: str) -> None:
        self._changed()
        words = f"key {record.terms.name} ({record.id}) was {verb}"
        self._note(AdminChange(self._wall(), request.caller.id, "key", words))

    async def _stored(self, call: Callable[[], _T]) -> _T:
        """The result of a call of the store. Raises ApiError."""
        try:
            return await asyncio.to_thread(call)
        except UnknownKeyError as fault:
            raise ApiError(404, f"no key in force is {str(fault)[:120]}", "key_not_found") from fault
        except ValueError as fault:
            raise ApiError(409, str(fault), "key_exists") from fault
        except (sqlite3.Error, OSError) as fault:
            raise ApiError(503, "the file of keys cannot be used: `hearth doctor`", "keys_unavailable") from fault
