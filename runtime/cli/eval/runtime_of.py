"""The running runtime that evaluates: its address with a key that may begin runs, and a run followed to its end."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from runtime.cli.bulk.meter import meter_for
from runtime.cli.client import Address, address_of, asked
from runtime.cli.exits import CommandError, Exit
from runtime.quality.golden.sets import SetError, read_sets
from runtime.quality.values import GoldenSet
from runtime.settings.environment import environment, state_dir
from runtime.trust.admin_key import NAME, local_admin_key

PATH = "/hearth/quality"
RUNS = f"{PATH}/runs"
Url = Annotated[str | None, typer.Option(help="The runtime at this address, with an admin key in HEARTH_API_KEY.")]
Json = Annotated[bool, typer.Option("--json", help="For programs: JSON.")]
Targets = Annotated[
    list[str] | None,
    typer.Option("--target", help="Ask this target alone: a name, `local`, or PROVIDER/MODEL. Repeatable."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Begin whatever it costs, without asking.")]
_LOOK_S = 0.3


class RunState(msgspec.Struct):
    """The progress of a run."""

    id: str
    done: int
    total: int
    closed_at: float | None = None
    cancelled: bool = False


class _TargetCost(msgspec.Struct):
    target: str
    answers: int
    usd: float | None
    assumed: bool = False


class ExpectedCost(msgspec.Struct):
    """usd: None where a price is not known. left_usd: of today's `[quality] daily_usd`. judge: of the questions to it."""

    targets: list[_TargetCost]
    left_usd: float
    cases: int
    judge: _TargetCost | None = None
    warnings: list[str] = []

    @property
    def usd(self) -> float | None:
        costs = [each.usd for each in (*self.targets, *([self.judge] if self.judge else ()))]
        return None if None in costs else sum(each or 0.0 for each in costs)


def runtime_at(url: str | None, config: Path | None) -> Address:
    """The runtime's address; on this machine with the box's own admin key, where no other is given."""
    env = environment()
    address = address_of(url, config, env)
    folder = state_dir(env)
    if address.key is None and address.on_this_machine and (folder / NAME).exists():
        with contextlib.suppress(OSError):
            return Address(address.url, local_admin_key(folder), address.socket)
    return address


def sets_of(files: Sequence[Path]) -> list[GoldenSet]:
    """The sets that a command names. Raises CommandError with every fault of them."""
    try:
        return read_sets(files)
    except SetError as fault:
        raise CommandError(f"the golden sets cannot be used:\n{fault}", Exit.SETTINGS) from fault


def agreed(address: Address, wanted: dict[str, Any], *, yes: bool, targets: int = 1) -> None:
    """Says what a run will cost, and asks. targets: that are asked at least. Raises CommandError where nobody agrees."""
    cost = asked(address, "POST", f"{PATH}/estimate", ExpectedCost, wanted)
    for words in cost.warnings:
        print(words, file=sys.stderr)
    if not cost.cases:
        words = "no case is for these targets: see `targets` and `requires` of the sets, and `certified` of the targets"
        raise CommandError(words)
    if len(cost.targets) < targets:
        raise CommandError(f"both names mean {cost.targets[0].target}", Exit.USAGE)
    rows = [(each, f"{each.target}: {each.answers} answers") for each in cost.targets]
    rows += [(each, f"{each.target} as the judge: {each.answers} questions") for each in (cost.judge,) if each]
    for each, words in rows:
        usd = "its price is not known" if each.usd is None else f"about ${each.usd:.4f}" if each.usd else "free"
        guess = "; its thinking is a guess until its first verdicts" if each.assumed else ""
        print(f"{words}, {usd}{guess}", file=sys.stderr)
    if yes or cost.usd == 0:
        return
    about = "unknown dollars" if cost.usd is None else f"about ${cost.usd:.4f}"
    print(f"together {about}; ${cost.left_usd:.2f} of today's quality.daily_usd are left", file=sys.stderr)
    if not sys.stdin.isatty():
        raise CommandError(f"it costs {about}: add --yes", Exit.USAGE)
    if not typer.confirm("Begin?", err=True):
        raise CommandError("nothing was begun")


def followed(address: Address, wanted: dict[str, Any]) -> RunState:
    """Begins a run and shows how far it is until it is closed. Ctrl-C ends the run too."""
    state = asked(address, "POST", RUNS, RunState, wanted)
    place = f"{RUNS}/{state.id}"
    try:
        with meter_for(sys.stderr, state.total, 0, time.monotonic, "eval") as meter:
            while state.closed_at is None:
                meter.show(state.done, 0, "")
                time.sleep(_LOOK_S)
                state = asked(address, "GET", place, RunState)
    except CommandError as fault:
        raise CommandError(
            f"{fault}; {state.id} is resumed once Hearth runs: `hearth eval report {state.id}`", fault.exit
        ) from fault
    except KeyboardInterrupt:
        asked(address, "POST", f"{place}/cancel", Any, {})  # a change needs a body that is JSON
        print(f"\n{state.id} is cancelled: what was answered is kept", file=sys.stderr)
        raise
    return state
