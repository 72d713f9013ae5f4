"""The guard: everything that is about to leave this process is shown to it first.

    Way        a way out of the process
    Cargo      the thing that leaves: its way, the request it belongs to, and what that request demands
    Receiver   the account or host that would get it
    Guard      the seam; the composition root fills it, and every module that opens a connection is built with it

The guard is closed on failure: a call without a cargo is refused, because nobody has stated what its data demands.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

import msgspec

LOCAL_ONLY = "local_only"  # a demand that no account can be certified for


class Way(StrEnum):
    MODEL = "model"  # a prompt to a model, or one whose tokens are counted
    UPLOAD = "upload"  # media to a vendor's file store
    MEDIA = "media"  # a client's address, fetched
    WEIGHTS = "weights"  # a model's files
    PRICES = "prices"  # a newer price list
    TELEMETRY = "telemetry"  # spans and counters, without any prompt or answer
    NOTICE = "notice"  # a notice to the operator's webhook


class Cargo(msgspec.Struct, frozen=True):
    """decision: id of the request whose data it is; "" if it holds no request's data. requires: its certificates."""

    way: Way
    decision: str = ""
    requires: frozenset[str] = frozenset()


class Receiver(msgspec.Struct, frozen=True):
    """name: of the configured target whose account it is, else a host. origin: scheme, host and port, no secrets.

    certified: what the account's contract allowed when the connection was built. region: as the settings name it.
    """

    name: str
    origin: str
    certified: frozenset[str] = frozenset()
    region: str = ""


class DepartureRefused(Exception):
    """The guard's refusal, in words. Nothing was sent."""


class Guard(Protocol):
    def check(self, cargo: Cargo | None, to: Receiver) -> None:
        """Returns if the cargo may go to the receiver, now. Raises DepartureRefused."""
        ...


def missing(requires: frozenset[str], certified: frozenset[str]) -> frozenset[str]:
    """The demanded certificates that are not among those of an account. Nobody is certified for LOCAL_ONLY."""
    return requires - (certified - {LOCAL_ONLY})
