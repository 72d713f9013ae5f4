"""The price lists of the clouds: the table `prices.toml` beside this file, and behind it the snapshot of genai-prices.

The library is loaded with the first price that the table does not have.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from msgspec.structs import asdict, fields, replace

from cloud.catalogue import undated
from runtime.contract.guard import Guard
from runtime.contract.prices import Price, Rates, Tariff

_RATES = tuple(field.name for field in fields(Rates))


@cache
def _table() -> dict[str, dict[str, dict[str, Any]]]:
    return tomllib.loads(files("cloud").joinpath("prices.toml").read_text("utf-8"))


def price(provider: str, model: str) -> Price | None:
    """The price of PROVIDER/MODEL; None where neither the table nor the snapshot has it."""
    own = _table().get(provider, {})
    entry = own.get(model) or own.get(undated(model))
    if entry is None:
        from cloud.snapshot import listed  # noqa: PLC0415 - a third of a second, for nothing where no cloud is configured

        return listed(provider, model)
    if "as" not in entry:
        plain, peak = _rates(entry), entry.get("peak", {})
        spans = [[_second(clock) for clock in span.split("-")] for span in peak.get("hours", ())]
        dear = [
            Tariff(_rates(peak), hours=(first, last), weekdays=peak.get("weekdays", False)) for first, last in spans
        ]
        return Price(**asdict(plain), tariffs=tuple(dear), source=entry["source"], date=entry["date"].isoformat())
    twin = price(provider, entry["as"])
    return None if twin is None else replace(twin, source=entry["source"], date=entry["date"].isoformat())


async def update(guard: Guard) -> str:
    """Fetches a newer snapshot, and returns its day. Raises as `cloud.snapshot.update` does."""
    from cloud.snapshot import update as fetched  # noqa: PLC0415 - as above

    return await fetched(guard)


def _rates(entry: Mapping[str, Any]) -> Rates:
    return Rates(**{name: entry[name] for name in _RATES if name in entry})


def _second(clock: str) -> int:
    """Of the day, from "HH:MM"."""
    hour, minute = clock.split(":")
    return int(hour) * 3600 + int(minute) * 60


def overridden() -> list[tuple[str, str]]:
    """Provider and model of every entry of the table."""
    return [(provider, model) for provider, models in _table().items() for model in models]
