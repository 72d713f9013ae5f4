"""What is read off an answer that passes through: has content begun, is it whole, what did it cost, did it fail.

The seam between a dialect and the dispatcher. A meter is an object, fresh per response, without I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from runtime.contract.failures import Disposition, Failure, Kind
from runtime.contract.usage import Usage

KEPT_ERROR_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Before:
    """What was said of an answer before it was cut, when another run goes on with it. tokens: about how many."""

    text: str
    tokens: int


class Meter(Protocol):
    """Reads one answer.

    began: the first content has been seen (text, reasoning, a tool call): the commit point.
    finished: every choice has its finish reason; what may follow is usage and the closing mark.
    done: the wire's closing mark has been seen.
    failure: set when the answer is not what it claims to be; nothing fed after it is forwarded.
    """

    began: bool
    finished: bool
    done: bool
    finish: str | None
    usage: Usage | None
    model: str | None
    failure: Failure | None
    tokens: int

    @property
    def said(self) -> Before | None:
        """All of a text answer so far, where it may be gone on with after a cut."""
        ...

    def feed(self, piece: bytes) -> bytes:
        """The bytes of this piece that the client may see: whole, well-formed events only."""
        ...

    def end(self) -> bytes:
        """The stream is over: the bytes still owed to the client; sets `failure` where the answer is not whole."""
        ...


def broken(message: str, code: str | None = None, body: bytes = b"") -> Failure:
    return Failure(Kind.BROKEN_STREAM, Disposition.NEXT_CANDIDATE, message, code=code, body=body[:KEPT_ERROR_BYTES])


def garbled(message: str, body: bytes = b"") -> Failure:
    return Failure(Kind.GARBLED, Disposition.NEXT_CANDIDATE, message, body=body[:KEPT_ERROR_BYTES])
