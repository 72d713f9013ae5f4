"""A log on a clock of the test's, and the changes that a test makes to its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.trust.audit.chain import segments
from runtime.trust.audit.log import AuditLog
from runtime.trust.audit.verify import AuditVerdict, verify


@dataclass
class Machine:
    """Its clocks, and its log in `folder`."""

    folder: Path
    at: float = 1_000_000.0
    up: float = 50.0
    boot: str = "first"
    notices: list[str] = field(default_factory=list)

    def log(self, **options: Any) -> AuditLog:
        """A log on the machine's clocks, not started."""
        clocks: dict[str, Any] = {"wall": lambda: self.at, "up": lambda: self.up, "boot": self.boot}
        return AuditLog(self.folder, notice=self.notices.append, **clocks, **options)

    def passes(self, seconds: float) -> None:
        self.at += seconds
        self.up += seconds

    def write(self, count: int, **options: Any) -> None:
        """One run of the runtime with so many answers, each written before the next."""
        log = self.log(**options)
        log.start()
        for number in range(count):
            self.passes(1)
            log.note("answer", {"decision": f"dec_{number}", "target": "local/small"})
            assert log.flush(30)
        log.close(30)

    def verdict(self) -> AuditVerdict:
        return verify(self.folder)

    @property
    def file(self) -> Path:
        return segments(self.folder)[-1]

    def lines(self) -> list[bytes]:
        return self.file.read_bytes().splitlines(keepends=True)

    def put(self, lines: list[bytes]) -> None:
        """Other lines into the same file."""
        with self.file.open("r+b") as file:
            file.write(b"".join(lines))
            file.truncate()


def kinds(verdict: AuditVerdict) -> list[str]:
    return [each.kind for each in verdict.findings]
