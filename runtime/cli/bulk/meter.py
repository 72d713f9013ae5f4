"""Shows how far a run is: a bar with rate and time left on a terminal, a plain line now and then elsewhere.

Knows nothing of rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from runtime.cli.paint import duration

_WINDOW_S = 15.0  # the rate is that of the last seconds, so that it follows a restart or a neighbour's load
_PLAIN_EVERY_S = 10.0


@dataclass(slots=True)
class Rate:
    """Rows per second over the last seconds. clock: monotonic seconds."""

    clock: Callable[[], float]
    _marks: deque[tuple[float, int]] = field(default_factory=deque)

    def at(self, finished: int) -> float:
        now = self.clock()
        self._marks.append((now, finished))
        while len(self._marks) > 2 and now - self._marks[0][0] > _WINDOW_S:
            self._marks.popleft()
        then, before = self._marks[0]
        span = now - then
        return (finished - before) / span if span > 0 else 0.0


def left(total: int, finished: int, rate: float) -> str:
    """The time left, or "?" where nobody can tell."""
    return duration((total - finished) / rate) if rate > 0 else "?"


class ProgressMeter(Protocol):
    def show(self, finished: int, bad: int, trouble: str) -> None:
        """Rows finished in all and bad ones among them; why rows wait now, or "". Called a few times a second."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Bar:
    """A bar on a terminal."""

    def __init__(self, stream: TextIO, total: int, already: int, clock: Callable[[], float], name: str) -> None:
        self._rate = Rate(clock)
        self._total = total
        self._progress = Progress(
            TextColumn(name),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            console=Console(file=stream),
            transient=True,
        )
        self._task: TaskID = self._progress.add_task(name, total=total, completed=already, said="")

    def show(self, finished: int, bad: int, trouble: str) -> None:
        rate = self._rate.at(finished)
        said = [f"{rate:.1f} rows/s", f"{left(self._total, finished, rate)} left"]
        said += [f"[yellow]{bad} bad[/yellow]"] if bad else []
        said += [f"[yellow]waiting: {escape(trouble[:80])}[/yellow]"] if trouble else []
        self._progress.update(self._task, completed=finished, said=", ".join(said))

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


class Lines:
    """A line at the beginning and every ten seconds, for logs."""

    def __init__(self, stream: TextIO, total: int, already: int, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._total = total
        self._already = already
        self._clock = clock
        self._rate = Rate(clock)
        self._said_at = clock()
        self._said_trouble = ""

    def show(self, finished: int, bad: int, trouble: str) -> None:
        rate, now = self._rate.at(finished), self._clock()
        if now - self._said_at < _PLAIN_EVERY_S and trouble == self._said_trouble:
            return
        self._said_at, self._said_trouble = now, trouble
        said = f"{finished:,} of {self._total:,} rows, {rate:.1f} rows/s, {left(self._total, finished, rate)} left"
        said += f", {bad} bad" if bad else ""
        self._say(said + (f", waiting: {trouble}" if trouble else ""))

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def __enter__(self) -> Self:
        done = f" ({self._already:,} done before)" if self._already else ""
        self._say(f"{self._total:,} rows{done}")
        return self

    def __exit__(self, *_: object) -> None:
        pass


class NoMeter:
    """Shows nothing."""

    def show(self, finished: int, bad: int, trouble: str) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def meter_for(
    stream: TextIO, total: int, already: int, clock: Callable[[], float], name: str = "classify"
) -> ProgressMeter:
    """The bar on a terminal, with the command's name; lines elsewhere."""
    return Bar(stream, total, already, clock, name) if stream.isatty() else Lines(stream, total, already, clock)
