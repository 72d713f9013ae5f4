"""What benchmarks with a command of their own share: a folder and a line of progress, and rounds that are judged one by one."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local_models.installer.progress import StepLine


@dataclass(frozen=True, slots=True)
class JudgedRound(ABC):
    """bound: the most that the round allows, ms. words: its figures, for people."""

    @property
    @abstractmethod
    def bound(self) -> float: ...

    @property
    @abstractmethod
    def kept(self) -> bool: ...

    @property
    @abstractmethod
    def words(self) -> str: ...


Measured = Callable[[Path, int, float, int, StepLine], Coroutine[Any, Any, Sequence[JudgedRound]]]
"""Of a folder, the number of rounds, seconds of each part of one, the engine's sequences at a time, and the progress."""


@contextlib.contextmanager
def bench_progress(title: str, *, quiet: bool) -> Iterator[tuple[Path, StepLine]]:
    """A folder that goes with the benchmark, and the line that says how far it is."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Path("/dev/null").open("w") if quiet else contextlib.nullcontext(sys.stderr) as shown,
    ):
        line = StepLine(title, shown)
        yield Path(folder), line
        line.end("done")


def rounds_main(
    name: str, title: str, description: str | None, measured: Measured, arguments: Sequence[str] | None
) -> int:
    """The command of a benchmark in rounds of three parts on a real vLLM. 0 when every round was kept."""
    parser = argparse.ArgumentParser(
        prog=f"python -m scripts.bench {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each of the three parts of a round")
    parser.add_argument("--slots", type=int, default=16, help="sequences that the engine runs at a time")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(arguments)
    with bench_progress(title, quiet=options.quiet) as (folder, line):
        found = asyncio.run(measured(folder, options.rounds, options.seconds, options.slots, line))
    if options.json:
        print(json.dumps([{**asdict(each), "bound": each.bound, "kept": each.kept} for each in found]))
    else:
        print("\n".join(f"{'kept  ' if each.kept else 'MISSED'}  {each.words}" for each in found))
    return 0 if all(each.kept for each in found) else 1
