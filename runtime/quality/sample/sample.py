"""The sample: which answers are taken, and what is left of them. Redaction and writing are a thread's work.

Never taken: a request that demands a certificate or says `"sample": false`, an answer that failed, was cut or was cancelled,
batches and the runtime's own evaluation (only the door takes samples), and what is longer than `MOST_BYTES`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime.conversations.background import Background, QueueFullError
from runtime.dispatch.job import Sink
from runtime.life.ask import Ask
from runtime.life.kept import Kept
from runtime.life.sampling import Tap
from runtime.quality.sample.answers import WIRES, answer_text
from runtime.quality.sample.file import SampledAnswer, SampleFile
from runtime.record.decisions import Decision
from runtime.settings import SampleSettings
from runtime.trust.personal import redacted, redacted_value

MOST_BYTES = 128 << 10  # of a body, and of an answer
_KEPT_MEMBERS_NOT = frozenset(
    {"hearth", "user", "metadata", "safety_identifier", "prompt_cache_key"}
)  # they name people
_DAY_S = 86_400.0
_LOOK_S = 3_600.0
_CLOSE_S = 2.0
_log = logging.getLogger("hearth.sample")


class Sample:
    """folder: of the state. clock: unix seconds. notice: gets one sentence per fault, in the thread.

    settings: replaced on a reload. trouble: why nothing is kept; None while all is well.
    """

    def __init__(
        self,
        folder: Path,
        settings: SampleSettings,
        clock: Callable[[], float],
        notice: Callable[[str], None] = _log.warning,
    ) -> None:
        self.settings = settings
        self.trouble: str | None = None
        self._file, self._clock, self._notice = SampleFile(folder), clock, notice
        self._thread = Background("sample", most_waiting=100, most_bytes=4 << 20)

    def tap(self, ask: Ask, sink: Sink) -> Tap | None:
        """A sink that keeps a copy of the answer; None for a request that is not taken. The same request, the same choice."""
        if ask.dialect.name not in WIRES or len(ask.body.raw) > MOST_BYTES:
            return None
        number = int.from_bytes(hashlib.blake2b(ask.id.encode(), digest_size=8).digest())
        return Tap(ask, sink, MOST_BYTES) if number < self.settings.share * 2**64 else None

    def offer(self, tap: Tap, decision: Decision) -> None:
        """Keeps a whole answer, later and in the thread. Never raises, never waits; a thread that lags takes no more."""
        kept = decision.kept
        if decision.status != 200 or decision.requires or decision.origin or decision.target is None:
            return
        if tap.overflown or not isinstance(kept, Kept) or not kept.facts.hints.sample:
            return
        try:
            self._thread.submit(lambda: self._keep(tap, decision), len(tap.ask.body.raw) + tap.size)
        except QueueFullError:
            return

    def rows(self, since: float = 0.0, most: int = 10_000) -> list[SampledAnswer]:
        """Oldest first, from that unix second on. Blocks; raises sqlite3.Error and OSError."""
        return self._file.rows(since, most)

    def forget(self, id: str | None = None) -> int:
        """Deletes the answer of one decision, or all. Returns their number. Blocks; raises sqlite3.Error and OSError."""
        return self._file.forget(id)

    async def run(self) -> None:
        """Deletes what is past its days, until cancelled; also what was kept before the sample was turned off."""
        while True:
            await asyncio.to_thread(self.trim)
            await asyncio.sleep(_LOOK_S)

    def trim(self) -> None:
        """Deletes what is past its days. Blocks."""
        self._tried(lambda: self._file.forget(before=self._clock() - self.settings.days * _DAY_S))

    def close(self) -> None:
        """Writes what waits, for at most two seconds. Blocks."""
        self._thread.close(_CLOSE_S)

    def _keep(self, tap: Tap, decision: Decision) -> None:
        answer = answer_text(decision.dialect, tap.answer)
        if answer is None:
            return
        data: dict[str, Any] = {name: each for name, each in tap.ask.body.data.items() if name not in _KEPT_MEMBERS_NOT}
        row = SampledAnswer(
            id=decision.id,
            at=decision.at,
            wire=decision.dialect,
            target=decision.target or "",
            task=decision.task,
            body=redacted_value(data),
            text=redacted(answer.text),
            tools=tuple([redacted_value(each) for each in answer.tools]),
            score=decision.score,
            prompt_tokens=decision.prompt_tokens,
            completion_tokens=decision.completion_tokens,
            cost_usd=decision.cost_usd,
        )
        self._tried(lambda: self._file.add(row, self.settings.max))

    def _tried(self, work: Callable[[], object]) -> None:
        """Says one sentence for a fault of the file, and goes on."""
        try:
            work()
        except (sqlite3.Error, OSError) as fault:
            words = f"the sample of answers cannot be kept in {self._file.path} ({fault})"
            if words != self.trouble:
                self._notice(words)
            self.trouble = words
            return
        self.trouble = None
