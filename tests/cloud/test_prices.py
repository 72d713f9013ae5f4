"""The price lists of the clouds: the table, and the snapshot behind it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot

from cloud import prices, snapshot
from cloud.catalogue import known
from cloud.providers import PROVIDERS
from runtime.contract.prices import BATCH, Price, Rates
from runtime.contract.usage import Usage

FRIDAY_NIGHT = datetime(2026, 11, 27, 2, tzinfo=UTC).timestamp()
FRIDAY_NOON = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
SATURDAY_NIGHT = datetime(2026, 11, 28, 2, tzinfo=UTC).timestamp()
HOURS = (FRIDAY_NIGHT, FRIDAY_NOON, SATURDAY_NIGHT)


def price(provider: str, model: str) -> Price:
    found = prices.price(provider, model)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("provider", "model", "above", "short", "long"),
    [
        ("openai", "gpt-6.1-sol", 272_000, Rates(2.0, 10.0, 0.1, 2.5), Rates(4.0, 15.0, 0.2, 5.0)),
        ("openai", "gpt-6-luna", 272_000, Rates(0.1, 0.5, 0.01, 0.125), Rates(0.2, 0.75, 0.02, 0.25)),
        (
            "anthropic",
            "claude-haiku-5-5",
            100_000,
            Rates(0.1, 0.5, 0.01, 0.125, 0.2),
            Rates(0.5, 2.5, 0.05, 0.625, 1.0),
        ),
        ("gemini", "gemini-3.1-pro-preview", 200_000, Rates(2.0, 12.0, 0.2), Rates(4.0, 18.0, 0.4)),
        ("gemini", "gemini-2.5-pro", 200_000, Rates(1.25, 10.0, 0.125), Rates(2.5, 15.0, 0.25)),
    ],
)
def test_prices_of_long_prompts(provider: str, model: str, above: int, short: Rates, long: Rates) -> None:
    """They are the vendors'; the price holds for the whole request."""
    found = price(provider, model)
    for prompt, rates in ((above, short), (above + 1, long)):
        mine = found.rates(prompt, FRIDAY_NOON)
        for name in Rates.__struct_fields__:
            assert getattr(mine, name) == pytest.approx(getattr(rates, name)), name


def test_models_that_embed_have_a_price_of_their_input() -> None:
    """They generate nothing."""
    assert price("openai", "text-embedding-3-small").cost(Usage(1_000, 0)) == 20


def test_most_prices_are_the_same_for_every_prompt() -> None:
    """They have no price for long prompts."""
    found = price("anthropic", "claude-sonnet-5-5")
    assert found.rates(900_000, FRIDAY_NOON) == found.rates(1, FRIDAY_NOON)


@pytest.mark.parametrize(("at", "input_rate"), [(FRIDAY_NIGHT, 0.30), (FRIDAY_NOON, 0.15), (SATURDAY_NIGHT, 0.15)])
def test_peak_hours(at: float, input_rate: float) -> None:
    """Two spans of a working day cost double; weekends do not."""
    assert price("deepseek", "deepseek-flash").rates(1, at).input == input_rate


def test_batches_cost_half() -> None:
    """The discount holds for cached tokens and for long prompts too."""
    for model, prompt in (("claude-sonnet-5-5", 10), ("claude-haiku-5-5", 200_000), ("claude-haiku-5-5", 10)):
        found = price("anthropic", model)
        usage = Usage(prompt, 10, cached=4, cache_write=4, cache_write_1h=2)
        live, batch = found.rates(prompt, FRIDAY_NOON), found.rates(prompt, FRIDAY_NOON, BATCH)
        assert batch.cost(usage) == pytest.approx(live.cost(usage) / 2)


def test_a_price_has_its_source_and_its_date() -> None:
    """Of the snapshot, and of the table."""
    listed, own = price("openai", "gpt-6-luna"), price("deepseek", "deepseek-flash")
    assert listed.source.startswith("genai-prices ") and datetime.fromisoformat(listed.date)
    assert own.source.startswith("https://") and datetime.fromisoformat(own.date)


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "gpt-6.2-sol"), ("openai", "no-such-model"), ("nobody", "gpt-6-luna")]
)
def test_a_model_that_nobody_lists_has_no_price(provider: str, model: str) -> None:
    """Unknown is None, never zero."""
    assert prices.price(provider, model) is None


# Every entry of the table, and how the snapshot differs from it. An entry that no longer differs is taken out.
DIFFERENCES = {
    ("deepseek", "deepseek-flash"): "the snapshot knows no weekdays",
    ("deepseek", "deepseek-v4-pro"): "the snapshot knows no weekdays",
    ("anthropic", "claude-mythos-5-1"): "the snapshot does not have it",
    ("anthropic", "claude-mythos-5"): "the snapshot does not have it",
    ("anthropic", "claude-mythos-preview"): "the snapshot does not have it",
}


def test_the_differences_from_the_snapshot_are_these() -> None:
    """Each entry of the table differs as it says, and no entry repeats the snapshot."""
    assert set(prices.overridden()) == set(DIFFERENCES)
    for (provider, model), difference in DIFFERENCES.items():
        own, listed = price(provider, model), snapshot.listed(provider, model)
        if "does not have" in difference:
            assert listed is None, model
        else:
            assert listed is not None
            both = [[each.rates(10, at).cost(Usage(10, 5, 3)) for at in HOURS] for each in (listed, own)]
            assert both[0][:2] == both[1][:2] and both[0][2] == 2 * both[1][2]


BILLED = (
    Usage(100_000, 4_000, cached=30_000, cache_write=20_000, cache_write_1h=5_000, reasoning=1_000),
    Usage(300_001, 500, cached=100_001),
)


@pytest.mark.parametrize("used", BILLED, ids=["short", "long"])
@pytest.mark.parametrize("provider", sorted(PROVIDERS.keys() - {"deepseek"}))  # the table has all of its models
def test_a_bill_is_what_the_library_itself_computes(provider: str, used: Usage) -> None:
    """Of every model it lists of a provider and that the table leaves to it, in the night and at noon of today."""
    name = {"gemini": "google"}.get(provider, provider)
    (listed,) = [each for each in get_snapshot().providers if each.id == name]
    counts = {
        "input_tokens": used.prompt,
        "output_tokens": used.completion,
        "cache_read_tokens": used.cached,
        "cache_write_tokens": used.cache_write,
        "cache_write_1h_tokens": used.cache_write_1h,
        "output_reasoning_tokens": used.reasoning,
    }
    theirs = genai_prices.Usage(**{key: count for key, count in counts.items() if count})
    today, compared = datetime.now(UTC).replace(minute=0), 0
    before = "accounts/fireworks/models/" if provider == "fireworks" else ""  # of an id, as requests write it
    for model in [before + each.id for each in listed.models]:
        found = prices.price(provider, model)
        if found is None or (provider, model) in DIFFERENCES:
            continue
        compared += 1
        for hour in (2, 12):
            at = today.replace(hour=hour)
            bill = genai_prices.calc_price(theirs, model, provider_id=name, genai_request_timestamp=at)
            mine = found.rates(used.prompt, at.timestamp()).cost(used)
            assert mine == pytest.approx(float(bill.total_price) * 1e6), model
    assert compared >= 10, provider


def test_the_release_that_was_compared_is_the_one_installed() -> None:
    """Another release may have other prices: compare it with the vendors' tables, and set the day."""
    assert version(snapshot.LIBRARY) == "0.2.3"


def test_an_id_with_a_date_has_the_price_of_its_model() -> None:
    """As the vendor bills it."""
    for model in ("claude-haiku-5-5", "claude-mythos-5-1"):
        assert price("anthropic", f"{model}-20261001") == price("anthropic", model)
        assert known("anthropic", f"{model}-20261001") is not None


def test_the_snapshot_is_not_loaded_before_a_price_is_asked_for() -> None:
    """A box without clouds pays nothing for it, and nothing is fetched."""
    code = "import cloud.backend, sys; assert not any(name.startswith('genai_prices') for name in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
