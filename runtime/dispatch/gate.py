"""The commit point of one attempt: bytes are held back until the first content is good, or to the end of a whole answer.

Knows bytes and when to let them through; what makes content good is the meter's to find, who may commit is the caller's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from runtime.contract.failures import Disposition, Failure, HopError, Kind

MOST_HELD = 64 << 20  # bytes: a whole answer with media fits


class Gate:
    """Shut until `commit` has been awaited; then bytes go straight through.

    commit: called once, with the length of a whole answer (None for a stream), before the first write; it raises where
    another attempt committed before. whole: nothing passes before the end.
    """

    __slots__ = ("_commit", "_held", "_most", "_size", "_whole", "_write", "open")

    def __init__(
        self,
        write: Callable[[bytes], Awaitable[None]],
        commit: Callable[[int | None], Awaitable[None]],
        *,
        whole: bool,
        open: bool = False,
        most: int = MOST_HELD,
    ) -> None:
        self._write = write
        self._commit = commit
        self._whole = whole
        self._most = most
        self._held: list[bytes] = []
        self._size = 0
        self.open = open

    async def forward(self, data: bytes, *, good: bool) -> None:
        """Writes or holds `data`. good: the first content was seen. Raises HopError where too much would be held."""
        if self.open:
            await self._write(data)
            return
        self._held.append(data)
        self._size += len(data)
        if self._size > self._most:
            words = f"the answer is longer than {self._most} bytes and has to be held back whole"
            raise HopError(Failure(Kind.GARBLED, Disposition.NEXT_CANDIDATE, words))
        if good and not self._whole:
            await self._let_through(None)

    async def finish(self, rest: bytes, *, stream: bool) -> None:
        """The answer is complete with `rest`. stream: its length is not announced."""
        if self.open:
            if rest:
                await self._write(rest)
            return
        self._held.append(rest)
        await self._let_through(None if stream else self._size + len(rest))

    async def _let_through(self, length: int | None) -> None:
        await self._commit(length)
        self.open = True
        held, self._held = b"".join(self._held), []
        await self._write(held)
