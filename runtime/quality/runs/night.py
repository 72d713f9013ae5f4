"""The times of nightly runs. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def last_due(now: float, at: str, zone: str, jitter_s: float = 0.0) -> tuple[str, float]:
    """The night that was due last: its date in the zone, and when it was due. now: unix seconds. at: "02:30".

    However long nothing ran, that is one night: the ones before it are not made up for.
    """
    hour, minute = map(int, at.split(":"))
    local = datetime.fromtimestamp(now - jitter_s, UTC).astimezone(ZoneInfo(zone))
    due = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if due > local:
        due = (due - timedelta(days=1)).replace(fold=0)
    return due.date().isoformat(), due.timestamp() + jitter_s


def next_due(now: float, at: str, zone: str, jitter_s: float = 0.0) -> float:
    """The next time at which a night is due, unix seconds."""
    hour, minute = map(int, at.split(":"))
    local = datetime.fromtimestamp(now - jitter_s, UTC).astimezone(ZoneInfo(zone))
    due = local.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    if due <= local:
        due += timedelta(days=1)
    return due.timestamp() + jitter_s
