"""The commit point of one attempt: bytes are held back until the first content is good, or to the end of a whole answer.

Knows bytes and when they may pass; what makes content good is the meter's to find, who may commit is the run's.
"""

from __future__ import annotations

import msgspec

from runtime.contract.failures import Disposition, Failure, HopError, Kind

MOST_HELD = 64 << 20  # bytes: a whole answer with media fits


class Gate(msgspec.Struct, eq=False):
    """whole: nothing passes before the end. open: the answer is committed, and bytes are held only for a slow client.

    held, size: the bytes that wait, and how many they are; most: how many may.
    """

    whole: bool
    open: bool = False
    most: int = MOST_HELD
    held: list[bytes] = []
    size: int = 0

    def hold(self, data: bytes, *, good: bool) -> bool:
        """Keeps `data` back. True if the gate may be opened: the first content was seen, and a stream is wanted.

        Raises HopError where too much would be held.
        """
        self.held.append(data)
        self.size += len(data)
        if self.size > self.most:
            words = f"the answer is longer than {self.most} bytes and has to be held back whole"
            raise HopError(Failure(Kind.GARBLED, Disposition.NEXT_CANDIDATE, words))
        return good and not self.whole

    def release(self) -> bytes:
        """Opens the gate. Returns the bytes that were held."""
        self.open, self.size = True, 0
        held, self.held = self.held, []
        return b"".join(held)
