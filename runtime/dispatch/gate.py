"""The commit point of one attempt: bytes are held back until the answer is good, and given up where it is not.

One ruling for every condition: the first content of a stream (`first_token`), the end of an answer that is wanted whole, a
format that is checked at the end, the early confidence of a local answer. Knows bytes and when they may pass; a meter finds
content and formats, the run knows who may commit.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import msgspec

from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.dialects.meter import Meter

MOST_HELD = 64 << 20  # bytes: a whole answer with media fits


class Pass(Enum):
    """WAIT: hold the answer back. GOOD: it may be committed."""

    WAIT = "wait"
    GOOD = "good"


WAIT, GOOD = Pass.WAIT, Pass.GOOD
Ruling = Pass | Failure
"""WAIT, GOOD, or the failure for which this answer is given up."""


class Gate(msgspec.Struct, eq=False):
    """whole: nothing passes before the end. open: the answer is committed, and bytes are held only for a slow client.

    look: a further condition, asked about an answer that has begun; True: it has ended. None: there is none.
    held, size: the bytes that wait, and how many they are; most: how many may.
    """

    whole: bool
    open: bool = False
    look: Callable[[Meter, bool], Ruling] | None = None
    most: int = MOST_HELD
    held: list[bytes] = []
    size: int = 0

    def hold(self, data: bytes, meter: Meter) -> Ruling:
        """Keeps `data` back, and rules on the answer so far. Raises HopError where too much would be held."""
        self.held.append(data)
        self.size += len(data)
        if self.size > self.most:
            words = f"the answer is longer than {self.most} bytes and has to be held back whole"
            raise HopError(Failure(Kind.GARBLED, Disposition.NEXT_CANDIDATE, words))
        if self.look is None and not self.open:
            return GOOD if meter.began and not self.whole else WAIT
        return self.ruling(meter)

    def ruling(self, meter: Meter, *, ended: bool = False) -> Ruling:
        """The ruling on an answer as its meter has read it. ended: nothing more of it will come."""
        if self.open:
            return GOOD
        if meter.failure is not None:
            return meter.failure
        if not (meter.began or ended):
            return WAIT
        if self.look is not None:
            ruling = self.look(meter, ended)
            if ruling is not GOOD:
                return ruling
            self.look = None  # it has looked
        return GOOD if ended or not self.whole else WAIT

    def release(self) -> bytes:
        """Opens the gate. Returns the bytes that were held."""
        self.open, self.size = True, 0
        held, self.held = self.held, []
        return b"".join(held)
