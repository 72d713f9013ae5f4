"""One question for every row, from file to file: checks that OUT may be continued, tries the question, runs the rows,
returns the outcome.

JournalError, InputError    nothing was written; the text says what to do
NoRuntimeError              no runtime answers at the address
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec
import uvloop

from runtime.cli.bulk.endpoint import Endpoint
from runtime.cli.bulk.journal import Done, Identity, Journal, difference, refusal
from runtime.cli.bulk.meter import ProgressMeter
from runtime.cli.bulk.patience import HopelessError, Patience, UnanswerableError
from runtime.cli.bulk.rows import Source, digest, ends_line
from runtime.cli.bulk.run import BulkRun, after

_SHOWN_EVERY_S = 0.25


class RowAnswers(Protocol):
    """Answers rows. further: questions beyond a row's first."""

    further: int

    async def fields(self, text: str) -> dict[str, Any]:
        """The members of the row's line, "label" among them. Raises UnanswerableError and HopelessError."""
        ...


class RowQuestion(Protocol):
    """A question put to the model for every row. labels: the closed list of answers. fingerprint: of all that it says."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def fingerprint(self) -> str: ...

    async def prepared(self, patience: Patience) -> RowAnswers:
        """Tries the question, so that a dead runtime or a wrong key is found before any row is asked.

        Raises NoRuntimeError, UnanswerableError and HopelessError.
        """
        ...


@dataclass(frozen=True, slots=True)
class BulkJob:
    """Everything a run needs. url, key, socket: of the runtime. replayable: a later run can read the input again."""

    source: Source
    out: Path
    question: RowQuestion
    url: str
    key: str | None = None
    socket: str = ""
    concurrency: int = 32
    patience_s: float = 300.0
    strict: bool = False
    restart: bool = False
    replayable: bool = True


@dataclass(slots=True)
class BulkOutcome:
    """The outcome of a run. before: rows done by earlier runs; now: by this one; done: all that OUT holds.

    seconds: from the first question on. further: questions beyond a row's first. stopped: the reason for an end before
    the last row, else "".
    """

    total: int
    before: int
    done: Done
    now: int = 0
    first_bad: str = ""
    seconds: float = 0.0
    requests: int = 0
    further: int = 0
    waits: int = 0
    model: str = ""
    stopped: str = ""
    interrupted: bool = False


MeterFor = Callable[[int, int], ProgressMeter]  # rows in all, rows done before


def perform(job: BulkJob, meter_for: MeterFor) -> BulkOutcome:
    """The whole run. Raises JournalError, InputError and NoRuntimeError."""
    total = job.source.count()
    next(job.source.rows(), None)  # a wrong header is told before OUT is touched
    with closing(Journal.open(job.out, restart=job.restart)) as journal:
        identity, known = _identity(job), journal.known()
        _check(job, known, identity)
        if journal.done.repaired:
            print(f"{job.out}: the last line is cut off; its row is done again", file=sys.stderr)
        outcome = BulkOutcome(total, journal.done.rows, journal.done, model=known.model if known else "")
        if journal.done.rows == total and not job.restart:
            journal.cut()
        else:
            run = _Run(job, journal, known, identity, outcome)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(run.run(meter_for(total, outcome.before)))
        return outcome


def _identity(job: BulkJob) -> Identity:
    source = job.source
    return Identity(
        input=str(source.path) if job.replayable else "standard input",
        input_bytes=source.size,
        sha256=digest(source.path, [source.size])[source.size] if job.replayable else "",
        reading=f"{source.format}, text {source.text_field or 'text or prompt'}, id {source.id_field}",
        labels=job.question.labels,
        prompt=job.question.fingerprint,
    )


def _check(job: BulkJob, known: Identity | None, identity: Identity) -> None:
    """Raises JournalError where OUT belongs to something else."""
    if known is None:
        return
    size, path = known.input_bytes, job.source.path
    prefix = digest(path, [size])[size] if size < identity.input_bytes else identity.sha256
    why = difference(known, identity, prefix=prefix, whole_lines=ends_line(path, size))
    if why is not None:
        raise refusal(job.out, why)


@dataclass(slots=True)
class _Run:
    """One run's moving parts. stop: set by Ctrl-C and SIGTERM."""

    job: BulkJob
    journal: Journal
    known: Identity | None
    identity: Identity
    outcome: BulkOutcome
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, meter: ProgressMeter) -> None:
        def end() -> None:
            self.outcome.interrupted = True
            self.stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, end)
        began = time.monotonic()
        async with Endpoint(self.job.url, self.job.key, self.job.concurrency, self.job.socket) as endpoint:
            patience = Patience(endpoint.ask, self.job.patience_s, time.monotonic)
            try:
                with meter:
                    shown = asyncio.create_task(self._shown(meter, patience))
                    try:
                        await self._rows(patience)
                    finally:
                        shown.cancel()
            except HopelessError as error:
                self.outcome.stopped = str(error)
            finally:
                self.outcome.seconds = time.monotonic() - began
                self.outcome.requests, self.outcome.waits = patience.requests, patience.waits

    async def _rows(self, patience: Patience) -> None:
        """Tries the question first, so that a dead runtime, a wrong key or another model is found before any row."""
        preparing = asyncio.create_task(self._prepared(patience))
        stopped = asyncio.create_task(self.stop.wait())
        await asyncio.wait((preparing, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not preparing.done():
            preparing.cancel()
            return
        answers = await preparing
        # OUT belongs to the model too: one that an earlier run had not is refused before anything is written.
        model = self.outcome.model = patience.model
        if self.known is not None and self.known.model != model:
            raise refusal(self.job.out, f"the model was {self.known.model}, now it is {model}")
        self.journal.belongs_to(msgspec.structs.replace(self.identity, model=model))

        run = BulkRun(
            rows=after(self.job.source.rows(), self.journal.done.rows),
            sort=answers.fields,
            write=self.journal.write,
            sync=self.journal.sync,
            done=self.journal.done.add,
            slots=self.job.concurrency,
            strict=self.job.strict,
            stop=self.stop,
        )
        try:
            await run.run()
        finally:
            self.outcome.now, self.outcome.first_bad = run.progress.finished, run.progress.first_bad
            self.outcome.further = answers.further

    async def _prepared(self, patience: Patience) -> RowAnswers:
        try:
            return await self.job.question.prepared(patience)
        except UnanswerableError as error:
            raise HopelessError(f"the engine does not take the question: {error}") from error

    async def _shown(self, meter: ProgressMeter, patience: Patience) -> None:
        while True:
            meter.show(self.journal.done.rows, self.journal.done.errors, patience.trouble)
            await asyncio.sleep(_SHOWN_EVERY_S)
