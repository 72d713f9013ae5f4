"""The load of the engine as a whole, for the number of its replicas. Pure; `saturation` judges one replica for one request."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runtime.load.ledger import Ledger


class EngineStrain(msgspec.Struct, frozen=True):
    """ttft_s: predicted for a prompt of usual length on the best replica; alone_s: of that, reading the prompt itself.

    waited_s: the longest that a request has waited for its first token. busy: 0..1 of the slots, None if they are unknown.
    """

    ttft_s: float = 0.0
    alone_s: float = 0.0
    waited_s: float = 0.0
    busy: float | None = None


def strain(ledgers: Sequence[Ledger], now: float) -> EngineStrain | None:
    """Of these ledgers together; None of none."""
    if not ledgers:
        return None
    found = []
    for each in ledgers:
        typical = each.typical_prompt
        alone_s = each.reading_s(typical, now)
        found.append((each.backlog_s(typical, now) + alone_s, alone_s))
    ttft_s, alone_s = min(found)
    slots = [each.slots for each in ledgers if each.slots is not None]
    busy = sum([each.decoding for each in ledgers]) / sum(slots) if slots and len(slots) == len(ledgers) else None
    return EngineStrain(ttft_s, alone_s, max([each.waited_s(now) for each in ledgers]), busy)
