"""The contracts and regions that each provider offers: read from `offers.toml` beside this file, with its sources.

An offer is no certificate: whether an account has signed for it, only its owner knows and says in the settings.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

import msgspec

KNOWN = frozenset({"zdr", "hipaa"})  # the certificates that the table has been compared for


class Offer(msgspec.Struct, frozen=True):
    """offers: certificates. regions: base URL by name. sources: addresses of the provider's own documents."""

    offers: frozenset[str] = frozenset()
    regions: dict[str, str] = {}
    sources: tuple[str, ...] = ()


@cache
def _table() -> dict[str, Offer]:
    table = tomllib.loads(files("cloud").joinpath("offers.toml").read_text("utf-8"))
    return msgspec.convert(table, dict[str, Offer])


def offer(provider: str) -> Offer:
    return _table().get(provider, Offer())
