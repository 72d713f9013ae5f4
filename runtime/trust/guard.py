"""The process's guard: certificates as the settings in force have them, and a note of every departure.

A connection remembers the certificates it was built with. They count only as far as the settings still list them: a
certificate that a reload takes away is gone for requests under way too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from runtime.contract.guard import Cargo, DepartureRefused, Receiver, missing


class Departure(msgspec.Struct, frozen=True, gc=False):
    """One thing that was about to leave. refused: why it did not; "" if it left."""

    way: str
    decision: str
    to: str
    origin: str
    region: str = ""
    requires: tuple[str, ...] = ()
    certified: tuple[str, ...] = ()
    refused: str = ""


class ExitGuard:
    """`runtime.contract.guard.Guard`. certified: by target name, replaced whole on a reload. note: gets every departure."""

    def __init__(self, certified: Mapping[str, frozenset[str]], note: Callable[[Departure], object]) -> None:
        self.certified = certified
        self._note = note

    def check(self, cargo: Cargo | None, to: Receiver) -> None:
        held = to.certified & self.certified.get(to.name, frozenset())
        why = ""
        if cargo is None:
            why = "nothing states what the data of this call demands"
        elif lacking := missing(cargo.requires, held):
            why = f"{to.name} is not certified for {' and '.join(sorted(lacking))}"
        way, decision, requires = (cargo.way, cargo.decision, cargo.requires) if cargo else ("", "", ())
        self._note(
            Departure(way, decision, to.name, to.origin, to.region, tuple(sorted(requires)), tuple(sorted(held)), why)
        )
        if why:
            raise DepartureRefused(f"{why}: nothing was sent to {to.origin}")
