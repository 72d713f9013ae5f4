"""The newest records of an audit log."""

from __future__ import annotations

from pathlib import Path

from runtime.trust.audit.chain import AuditEntry, BrokenLine, opened, segments


def latest(folder: Path, limit: int, before: int | None = None, decision: str | None = None) -> list[AuditEntry]:
    """Newest first. before: only smaller numbers. decision: only the records of this one. Broken lines are left out.

    Raises OSError.
    """
    found: list[AuditEntry] = []
    for path in reversed(segments(folder)):
        for line in reversed(path.read_bytes().splitlines()):
            if decision is not None and decision.encode() not in line:
                continue
            try:
                entry = opened(line, None)[0]
            except BrokenLine:
                continue
            if (before is None or entry.n < before) and decision in (None, entry.body.get("decision")):
                found.append(entry)
            if len(found) >= limit:
                return found
    return found
