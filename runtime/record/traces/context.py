"""W3C trace context: what a client sent, and what goes on to the engine and the clouds.

Every id follows from the decision's id and a secret of this process, so that nothing has to be carried along with a request:
the header that leaves while it runs and the spans made from its record agree. https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

PARENT = "traceparent"
STATE = "tracestate"
_SAMPLED = 1
_LENGTH = 55  # of a parent in version 00
_MOST_STATE = 512  # characters: what every tracing system must pass on
_FIELDS = r"-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
_PARENT = re.compile(f"(?!ff)[0-9a-f]{{2}}{_FIELDS}")
_LATER = re.compile(f"(?!00|ff)[0-9a-f]{{2}}{_FIELDS}-.*")  # a later version may add fields


class TraceContext(NamedTuple):
    """One request in its trace. trace_id: 32 hex digits. parent: of the client's span, 16 hex digits, "" without one.

    span: the request's own. sampled: the client's flag, or without a parent the draw by the ratio.
    """

    trace_id: str
    parent: str
    span: int
    sampled: bool

    def exchange(self, started_ms: float) -> str:
        """The span id of an exchange that began so long after the request arrived: no two of a request begin together."""
        return f"{(self.span + 1 + round(started_ms * 1000)) % (1 << 64) or 1:016x}"


def parent_of(header: str) -> str:
    """The header as a record keeps it: "" if it is no trace context, and nothing that a client adds to it."""
    return header[:_LENGTH] if header and (_PARENT.fullmatch(header) or _LATER.fullmatch(header)) else ""


class TraceIds:
    """secret: any bytes that differ between processes. ratio: share of requests without a parent whose flag is set, 0 to 1.

    everywhere: the context goes to clouds too, and not to the engine alone.
    """

    def __init__(self, secret: bytes, ratio: float, *, everywhere: bool = False) -> None:
        self._secret, self._below = secret, round(ratio * (1 << 64))
        self.everywhere = everywhere

    def context(self, decision: str, parent: str = "") -> TraceContext:
        """The context of a request. parent: `traceparent` as the client sent it."""
        drawn = hashlib.blake2b(decision.encode(), digest_size=24, key=self._secret).digest()
        span = int.from_bytes(drawn[16:]) or 1
        if parent and (found := _PARENT.fullmatch(parent) or _PARENT.fullmatch(parent_of(parent))):
            trace_id, above, flags = found.groups()
            return TraceContext(trace_id, above, span, bool(int(flags, 16) & _SAMPLED))
        return TraceContext(drawn[:16].hex(), "", span, int.from_bytes(drawn[8:16]) < self._below)

    def headers(self, decision: str, client: Mapping[str, str], started_ms: float) -> tuple[tuple[str, str], ...]:
        """The headers of an exchange. client: the headers the request came with, lower-case names."""
        found = self.context(decision, client.get(PARENT, ""))
        parent = (PARENT, f"00-{found.trace_id}-{found.exchange(started_ms)}-{int(found.sampled):02x}")
        state = client.get(STATE, "") if found.parent else ""
        return (parent, (STATE, state)) if 0 < len(state) <= _MOST_STATE else (parent,)
