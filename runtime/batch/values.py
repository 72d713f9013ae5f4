"""Files, batches and lines as they are stored. Knows no wire, no SQL and no clock."""

from __future__ import annotations

from typing import Literal

import msgspec

Wire = Literal["openai", "messages"]
Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
LineOutcome = Literal["succeeded", "failed", "expired", "canceled"]

ENDED: frozenset[Status] = frozenset({"failed", "completed", "expired", "cancelled"})
ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")
MESSAGES = "/v1/messages"


class StoredFile(msgspec.Struct, frozen=True):
    """owner: the id of a key, "" without keys. size: bytes. Times are unix seconds. requires: certificates it was sent with."""

    id: str
    owner: str
    purpose: str
    filename: str
    size: int
    created_at: int
    expires_at: int
    requires: tuple[str, ...] = ()


class LineError(msgspec.Struct, frozen=True):
    """A fault of an input file. line: from 1, None for the file as a whole."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class BatchLine(msgspec.Struct, frozen=True):
    """One request of a batch. number: its place, from 0. body: JSON."""

    number: int
    custom_id: str
    body: bytes


class LineResult(msgspec.Struct, frozen=True):
    """The end of a line. status: HTTP's, 0 where nothing was asked. answer: the body as its wire has it."""

    number: int
    custom_id: str
    outcome: LineOutcome
    status: int = 0
    request_id: str = ""
    answer: bytes = b""


class Counts(msgspec.Struct, frozen=True):
    """Lines by outcome; those without one are `total` less the others."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    expired: int = 0
    canceled: int = 0

    @property
    def left(self) -> int:
        return self.total - self.succeeded - self.failed - self.expired - self.canceled


class BatchUsage(msgspec.Struct, frozen=True):
    """Tokens of all answers. cached: of the prompts. reasoning: of the completions."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reasoning: int = 0


class Batch(msgspec.Struct, frozen=True, omit_defaults=True):
    """stamps: unix seconds at which it came to a status. requires: certificates every line needs besides its own.

    kept_s: seconds after which the client wants its output gone, 0 if it said nothing. usage, model: of its answers, once it
    has ended; "" if several models answered.
    """

    id: str
    owner: str
    wire: Wire
    endpoint: str
    created_at: int
    expires_at: int
    status: Status = "validating"
    input_file: str | None = None
    window: str = "24h"
    metadata: dict[str, str] | None = None
    requires: tuple[str, ...] = ()
    stamps: dict[str, int] = {}
    errors: tuple[LineError, ...] = ()
    output_file: str | None = None
    error_file: str | None = None
    kept_s: int = 0
    usage: BatchUsage | None = None
    model: str = ""
    counts: Counts = Counts()

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    def at(self, status: Status, now: int) -> Batch:
        """The same batch, come to a status."""
        return msgspec.structs.replace(self, status=status, stamps={**self.stamps, status: now})
