"""Stored responses: what `previous_response_id`, item references and `/v1/responses/{id}` find.

Every response that may be stored is kept in memory, for an hour. It is also written to disk if its client said `store: true`
and demanded no certificate: prompts and answers reach no disk unasked. Responses belong to an owner (the id of a key), and
nobody else sees them. The file is opened and used in one thread of its own. A fault of the file costs what is stored, never an
answer: `trouble` says in one sentence what is wrong, and everything continues from memory.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple, TypeVar

from runtime.conversations.background import Background, QueueFullError
from runtime.conversations.chain import Chain
from runtime.conversations.disk import Disk
from runtime.conversations.file import ResponseFile
from runtime.conversations.limits import IN_MEMORY, ON_DISK, ConversationLimits, StoreLimits
from runtime.conversations.memory import Memory
from runtime.dialects.openai_responses.conversation import (
    StoredResponse,
    not_found,
    previous_of,
    references,
    resolved,
    resumed,
)
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody

_RETRY_AFTER_S = 5.0
_CLOSE_S = 2.0

_log = logging.getLogger("hearth.conversations")
_Result = TypeVar("_Result")


class Resumed(NamedTuple):
    """body: with the whole conversation in it. requires: certificates that earlier turns demanded, and this one inherits.

    chain: the name of the conversation that it continues; "" if it continues none, or one that is no longer in memory.
    own: the body without earlier turns, but with the items it refers to: what is stored of it must not depend on others.
    """

    body: RawBody
    own: RawBody
    requires: frozenset[str] = frozenset()
    chain: str = ""


class FoundItems(NamedTuple):
    """items: by id. requires: certificates that the requests demanded to which they belong."""

    items: Mapping[str, bytes]
    requires: frozenset[str]


class ResponseStore:
    """path: the file; None: memory alone. clock: unix seconds. notice: gets one sentence per fault, in the file's thread.

    read_timeout_s: a read that a slow disk has not answered by then is refused with 503, as is one that finds the queue full.
    elsewhere: finds items that are not stored here, by their ids and the owner; None: nobody else stores any.
    """

    elsewhere: Callable[[Sequence[str], str], Awaitable[FoundItems]] | None = None

    def __init__(
        self,
        path: Path | None,
        clock: Callable[[], float],
        *,
        memory: StoreLimits = IN_MEMORY,
        disk: StoreLimits = ON_DISK,
        conversation: ConversationLimits | None = None,
        notice: Callable[[str], None] = _log.warning,
        read_timeout_s: float = 5.0,
    ) -> None:
        self._conversation = conversation or ConversationLimits()
        self._read_timeout_s = read_timeout_s
        self._memory = Memory(clock, memory)
        self._thread = Background("responses")
        self._disk = None if path is None else Disk(path, clock, disk, notice)

    @property
    def trouble(self) -> str | None:
        """What is wrong with the file; None while all is well."""
        return None if self._disk is None else self._disk.trouble

    @property
    def held(self) -> tuple[int, int]:
        """Responses in memory, and their bytes."""
        return self._memory.held

    async def resume(self, body: RawBody, owner: str = "") -> Resumed:
        """The body with the turns before it and with the items it refers to.

        Raises BadBody; ApiError if the predecessor is not known (400), too long (400), or cannot be read now (503), and as
        `elsewhere` does.
        """
        previous, named = previous_of(body), references(body)
        if previous is None and not named:
            return Resumed(body, body)
        if len(named) > self._conversation.items:
            raise BadBody(f"'input' refers to more than {self._conversation.items} items", "input")
        chain = None if previous is None else await self._chain(previous, owner)
        if previous is not None and chain is None:
            raise not_found(previous)
        items, requires = await self.items(named, owner)
        if self.elsewhere is not None and (rest := [each for each in named if each not in items]):
            more = await self.elsewhere(rest, owner)
            items, requires = {**items, **more.items}, requires | more.requires
        history = chain.items(with_output=True) if chain is not None else ()
        inherited = chain.requires if chain is not None else frozenset()
        name = next((turn.chain for turn in chain.turns if turn.chain), "") if chain is not None else ""
        own = resolved(body, history, items) if named else body
        return Resumed(resumed(own, history), own, requires | inherited, name)

    def add(self, stored: StoredResponse, owner: str = "") -> Future[None] | None:
        """Stores a response in memory, and on disk if it is durable. Never raises, never waits.

        The future ends with the write, however it went; None if nothing is written.
        """
        limits = self._conversation
        if stored.size > limits.response_size or len(stored.items) > limits.items:
            return None
        self._memory.add(stored, owner)
        disk = self._disk
        if disk is None or not stored.durable:
            return None
        try:
            return self._thread.submit(lambda: disk.write(lambda file: file.add(stored, owner)), stored.size)
        except QueueFullError:
            disk.say(
                "the disk is too slow for stored responses; new ones are kept in memory alone until it has caught up"
            )
            return None

    async def history(self, response_id: str, owner: str = "") -> tuple[bytes, ...] | None:
        """All items up to and with this response, oldest first; None if a turn is not known."""
        chain = await self._chain(response_id, owner)
        return None if chain is None else chain.items(with_output=True)

    async def input(self, response_id: str, owner: str = "") -> tuple[bytes, ...] | None:
        """The items a response answered, those of earlier turns included; None if a turn is not known."""
        chain = await self._chain(response_id, owner)
        return None if chain is None else chain.items(with_output=False)

    async def response(self, response_id: str, owner: str = "") -> bytes | None:
        """The response object as its client got it."""
        stored = self._memory.get(response_id, owner)
        if stored is None:
            stored = await self._read(lambda file: file.get(response_id, owner), None)
        return None if stored is None else stored.response

    def requires_of(self, response_id: str, owner: str = "") -> frozenset[str]:
        """The certificates that its request demanded; a response with any is in memory alone."""
        stored = self._memory.get(response_id, owner)
        return frozenset() if stored is None else stored.requires

    async def forget(self, response_id: str, owner: str = "") -> bool:
        """Deletes a response from memory and from disk. False if there was none; ApiError (503) if the disk refuses."""
        remembered = self._memory.remove(response_id, owner)
        return await self._read(lambda file: file.remove(response_id, owner), False) or remembered

    def close(self) -> None:
        """Writes what waits, for at most two seconds. Blocks."""
        if self._disk is not None:
            with contextlib.suppress(QueueFullError):
                self._thread.submit(self._disk.close)
        self._thread.close(_CLOSE_S)

    async def _chain(self, response_id: str, owner: str) -> Chain | None:
        """The conversation of a response: its newest turns from memory, the rest from the file."""
        chain = Chain(response_id, self._conversation)
        self._memory.touch(chain.follow(lambda name: self._memory.get(name, owner)), owner)
        if chain.wanted is not None:
            await self._read(lambda file: file.follow(chain, owner), None)
        return chain if chain.wanted is None else None

    async def items(self, ids: Sequence[str], owner: str = "") -> FoundItems:
        """The ones of these items that are stored here. Raises ApiError (503) if the disk cannot be read now."""
        found: dict[str, bytes] = {}
        requires = frozenset[str]()
        for name in ids:
            if (held := self._memory.item(name, owner)) is not None:
                found[name] = held[0]
                requires |= held[1]
        rest = [name for name in ids if name not in found]
        if rest:
            found |= await self._read(lambda file: file.items(rest, owner), dict[str, bytes]())
        return FoundItems(found, requires)

    async def _read(self, work: Callable[[ResponseFile], _Result], nothing: _Result) -> _Result:
        """The file's answer; `nothing` if there is no file. Raises ApiError if the file cannot be read now."""
        disk = self._disk
        if disk is None:
            return nothing
        try:
            return await self._thread.call(lambda: disk.read(work, nothing), self._read_timeout_s)
        except (QueueFullError, TimeoutError, sqlite3.Error, OSError) as error:
            words = "stored responses on disk cannot be read now: send the whole conversation, or try again"
            raise ApiError(503, words, "store_unavailable", retry_after=_RETRY_AFTER_S) from error
