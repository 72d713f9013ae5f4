"""The snapshot of price lists that comes with the library genai-prices, as prices. Importing this loads it: 15 MB, 0.3 s.

The library is asked for rates alone; what an answer costs is computed by `runtime.contract.prices`. Nothing is fetched
unless `update` is called.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from importlib.metadata import version
from typing import Any

import httpx
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, _providers_from_raw
from genai_prices.update_prices import DEFAULT_UPDATE_URL
from msgspec.structs import asdict

from runtime.contract.guard import Cargo, Guard, Receiver, Way
from runtime.contract.prices import Price, Rates, Tariff

LIBRARY = "genai-prices"
COMPARED = "2026-11-22"
"""The day on which the pinned release was compared with the vendors' tables."""

_DAY = 86_400
_PROVIDERS = {"gemini": "google"}  # where the library has another name
_KEYS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "reasoning": "output_reasoning_mtok",
}


async def update(guard: Guard, url: str = DEFAULT_UPDATE_URL, *, most: int = 32 << 20, within_s: float = 60.0) -> str:
    """Fetches the library's newest price list, takes it in place of the snapshot, and returns its day.

    most: bytes of the list. within_s: for all of it. Raises DepartureRefused, httpx.HTTPError, TimeoutError, and for a list
    that cannot be used ValueError or KeyError: then the prices stay as they were.
    """
    address = httpx.URL(url)
    guard.check(Cargo(Way.PRICES), Receiver(address.host, f"{address.scheme}://{address.netloc.decode()}"))
    raw = bytearray()
    async with asyncio.timeout(within_s), httpx.AsyncClient() as client, client.stream("GET", url) as reply:
        reply.raise_for_status()
        async for piece in reply.aiter_bytes():
            raw += piece
            if len(raw) > most:
                raise ValueError(f"the price list of {address.host} is longer than {most} bytes")
    fresh = await asyncio.to_thread(lambda: DataSnapshot(_providers_from_raw(json.loads(raw)), from_auto_update=True))
    if not any(each.models for each in fresh.providers):
        raise ValueError(f"the price list of {address.host} is empty")
    set_custom_snapshot(fresh)
    return fresh.timestamp.date().isoformat()


def listed(provider: str, model: str) -> Price | None:
    """The price in the snapshot, without what ended before today; None for a model that is not in it."""
    snapshot = get_snapshot()
    try:
        found = snapshot.find_provider_model(model, None, _PROVIDERS.get(provider, provider), None)[1]
    except LookupError:
        return None
    now = time.time()
    tariffs = list(_tariffs(found))
    # Rates that were replaced for good are history.
    begun = [place for place, each in enumerate(tariffs) if each.since <= now and _always(each)]
    tariffs = tariffs[begun[-1] if begun else 0 :]
    if not tariffs:
        return None
    first, *rest = tariffs
    updated = snapshot.timestamp.date().isoformat() if snapshot.from_auto_update else COMPARED
    return Price(**asdict(first.rates), tariffs=tuple(rest), source=f"{LIBRARY} {version(LIBRARY)}", date=updated)


def _always(tariff: Tariff) -> bool:
    """True if it holds for every request from its beginning on, so that earlier tariffs never matter again."""
    return not tariff.above and tariff.hours is None and not tariff.processing


def _tariffs(model: ModelInfo) -> Iterator[Tariff]:
    """Those of the snapshot, in the order in which the later one holds: by period, then batches and the like, then length."""
    for period in model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]:
        standard = period.prices
        since, hours = _when(period.constraint)
        yield from _by_length(standard, since, hours, "")
        for variant in model.price_variants or ():
            processing = variant.when.get("processing") or variant.when.get("service_tier") or variant.when.get("speed")
            if processing is None or len(variant.when) > 1:
                continue
            begins, only = _when(variant.constraint)
            merged = {**_given(standard), **_given(variant.prices)}
            yield from _by_length(merged, max(since, begins), only or hours, processing)


def _given(prices: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(prices).items() if value is not None}


def _by_length(
    prices: ModelPrice | Mapping[str, Any], since: float, hours: tuple[int, int] | None, processing: str
) -> Iterator[Tariff]:
    """One tariff for short prompts and one for each length from which a rate changes. None without a price of input.

    A model that has one of input alone embeds: it generates nothing.
    """
    given = prices if isinstance(prices, Mapping) else _given(prices)
    mine = {name: given[key] for name, key in _KEYS.items() if key in given}
    if "input" not in mine:
        return
    starts = {0, *(tier.start for each in mine.values() for tier in getattr(each, "tiers", ()))}
    for start in sorted(starts):
        rates = {}
        for name, each in mine.items():
            due = [tier.price for tier in getattr(each, "tiers", ()) if tier.start <= start]
            rates[name] = float(due[-1] if due else getattr(each, "base", each))
        yield Tariff(Rates(**{"output": 0.0, **rates}), start, since, hours, processing=processing)


def _when(constraint: Any) -> tuple[float, tuple[int, int] | None]:
    """From when it holds, unix seconds, and in which hours."""
    if hasattr(constraint, "start_date"):
        begins = constraint.start_date
        return datetime(begins.year, begins.month, begins.day, tzinfo=UTC).timestamp(), None
    if hasattr(constraint, "start_time"):
        both = (constraint.start_time, constraint.end_time)
        dated = [datetime.combine(date(1970, 1, 2), each, each.tzinfo or UTC).timestamp() for each in both]
        return 0.0, (int(dated[0] % _DAY), int(dated[1] % _DAY))
    return 0.0, None
