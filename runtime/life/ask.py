"""A request as anybody can ask it: the door, a batch, an evaluation. Knows no connection."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from runtime.dialects.seam import Dialect
from runtime.trust.caller import NOBODY, Caller
from runtime.wire.raw_body import RawBody


class Ask(msgspec.Struct, frozen=True):
    """One request before anything is known of it.

    id: of its decision. body: checked by the dialect. headers: lower-case names. arrived: monotonic seconds.
    requires: certificates that hold besides the request's own and its key's: those of a conversation it continues, of its
    session, of the file and the batch it stands in. chain: the name of that conversation, where it is stored. origin: "" for
    a client's own; otherwise the part of this program that asks, `runtime.record.decisions.QUALITY`.
    """

    id: str
    dialect: Dialect
    body: RawBody
    headers: Mapping[str, str]
    arrived: float
    caller: Caller = NOBODY
    requires: frozenset[str] = frozenset()
    chain: str = ""
    origin: str = ""
