"""A settled decision, a departure, or an admin's change, as the audit log keeps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime.contract.targets import LOCAL
from runtime.record.decisions import Decision
from runtime.trust.changes import AdminChange
from runtime.trust.guard import Departure


def noted(on_box: Callable[[], bool], thing: Decision | Departure | AdminChange) -> tuple[str, Any]:
    """Kind and body. on_box: True if the engine runs on this machine, so that its answers were made here."""
    if isinstance(thing, AdminChange):
        return "change", thing
    if isinstance(thing, Departure):
        return "departure", thing
    here, local = on_box(), f"{LOCAL}/"
    return "answer", {
        "decision": thing.id,
        "at": thing.at,
        "caller": thing.caller,
        "session": thing.session,
        "dialect": thing.dialect,
        "requires": thing.requires,
        "personal": thing.personal,
        "target": thing.target,
        "on_box": here and thing.target.startswith(local) if thing.target else None,
        "reason": thing.reason,
        "status": thing.status,
        "attempts": [
            {
                "target": each.target,
                "lane": each.lane,
                "on_box": here and each.target.startswith(local),
                "outcome": each.outcome,
                "status": each.status,
            }
            for each in thing.attempts
        ],
    }
