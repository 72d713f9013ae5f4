"""A sink that keeps the answer, for callers that are no connection: batches, evaluations, the first answer of a start."""

from __future__ import annotations

from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.dispatch.job import Head

MOST_BYTES = 64 << 20


class Collected:
    """A `runtime.dispatch.job.Sink`. most: bytes of the answer; a longer one fails as garbled."""

    __slots__ = ("_pieces", "_size", "gone", "head", "most")

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self.most = most
        self.gone = False
        self.head: Head | None = None

    async def start(self, head: Head) -> None:
        self.head = head

    async def write(self, data: bytes) -> None:
        """Raises HopError past `most` bytes."""
        self._size += len(data)
        if self._size > self.most:
            words = f"the answer is longer than {self.most} bytes"
            raise HopError(Failure(Kind.GARBLED, Disposition.NEXT_CANDIDATE, words))
        self._pieces.append(data)

    def write_now(self, data: bytes) -> bool:
        """False: `write` keeps to the bound."""
        return False

    @property
    def body(self) -> bytes:
        return b"".join(self._pieces)
