"""A guard that lets everything pass and keeps what it was shown."""

from __future__ import annotations

from runtime.contract.guard import Cargo, Receiver, Way

CARGO = Cargo(Way.MODEL, "dec_1")
TO = Receiver("t", "http://t")


class OpenGuard:
    """`runtime.contract.guard.Guard`."""

    def __init__(self) -> None:
        self.shown: list[tuple[Cargo | None, Receiver]] = []

    def check(self, cargo: Cargo | None, to: Receiver) -> None:
        self.shown.append((cargo, to))


GUARD = OpenGuard()
