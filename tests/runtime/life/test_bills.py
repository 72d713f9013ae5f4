"""Bills worked by hand from the vendors' price tables: on record they come out to the cent, streamed and not.

The vendors' prices are dollars per million tokens, so that a product of tokens and price is in micro-dollars.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from cloud import prices
from runtime.contract.prices import Price
from runtime.contract.usage import Usage
from runtime.dialects.anthropic_messages.dialect import MESSAGES as MESSAGES_DIALECT
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.dialects.seam import Dialect
from runtime.settings import Retries
from tests.fakes.billing import Billed, BilledWire, Chat, Claude, Gemini, Responses, documented, streamed, target
from tests.fakes.box import CHAT, LEAVE, Box
from tests.fakes.upstream import engine_backend, error

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)  # a Friday
PEAK = datetime(2026, 11, 27, 2, tzinfo=UTC)
WEEKEND = datetime(2026, 11, 28, 2, tzinfo=UTC)


class Bill(NamedTuple):
    """micro: micro-dollars by hand. speed, tier: as the request wants them, for another price; `used.tier` is what it got."""

    wire: BilledWire
    provider: str
    model: str
    used: Usage
    micro: float
    at: datetime = NOON
    speed: str | None = None
    tier: str | None = None


CLAUDE, OPENAI, RESPONSES, GEMINI = Claude(), Chat(), Responses(), Gemini()
BILLS = {
    "opus plain": Bill(CLAUDE, "anthropic", "claude-opus-5-5", Usage(12_000, 800), 12_000 * 4 + 800 * 20),
    "opus reads its cache": Bill(
        CLAUDE,
        "anthropic",
        "claude-opus-5-5",
        Usage(60_000, 500, cached=55_000),
        5_000 * 4 + 55_000 * 0.2 + 500 * 20,
    ),
    "sonnet writes for five minutes": Bill(
        CLAUDE,
        "anthropic",
        "claude-sonnet-5-5",
        Usage(30_000, 1_000, cache_write=28_000),
        2_000 * 2 + 28_000 * 2.5 + 1_000 * 10,
    ),
    "sonnet writes for an hour": Bill(
        CLAUDE,
        "anthropic",
        "claude-sonnet-5-5",
        Usage(30_000, 1_000, cache_write=28_000, cache_write_1h=28_000),
        2_000 * 2 + 28_000 * 4 + 1_000 * 10,
    ),
    "sonnet reads, and writes for both": Bill(
        CLAUDE,
        "anthropic",
        "claude-sonnet-5-5",
        Usage(50_000, 2_000, cached=20_000, cache_write=25_000, cache_write_1h=15_000),
        5_000 * 2 + 20_000 * 0.1 + 10_000 * 2.5 + 15_000 * 4 + 2_000 * 10,
    ),
    "haiku at the edge of its tier": Bill(
        CLAUDE, "anthropic", "claude-haiku-5-5", Usage(100_000, 4_000), 100_000 * 0.1 + 4_000 * 0.5
    ),
    "haiku beyond it": Bill(
        CLAUDE,
        "anthropic",
        "claude-haiku-5-5",
        Usage(150_000, 4_000, cached=90_000, cache_write=50_000, cache_write_1h=20_000),
        10_000 * 0.5 + 90_000 * 0.05 + 30_000 * 0.625 + 20_000 * 1.0 + 4_000 * 2.5,
    ),
    "fable thinks": Bill(
        CLAUDE,
        "anthropic",
        "claude-fable-5-2",
        Usage(9_000, 7_000, cached=8_000, reasoning=6_500),
        1_000 * 8 + 8_000 * 0.2 + 7_000 * 40,
    ),
    "mythos costs what fable does": Bill(
        CLAUDE, "anthropic", "claude-mythos-5-1", Usage(10_000, 100, cached=10_000), 10_000 * 0.25 + 100 * 50
    ),
    "opus in fast mode": Bill(
        CLAUDE,
        "anthropic",
        "claude-opus-5-5",
        Usage(10_000, 1_000, cached=4_000),
        6_000 * 8 + 4_000 * 0.4 + 1_000 * 40,
        speed="fast",
    ),
    "sol plain": Bill(OPENAI, "openai", "gpt-6.1-sol", Usage(8_000, 900), 8_000 * 2 + 900 * 10),
    "sol writes its cache": Bill(
        RESPONSES,
        "openai",
        "gpt-6.1-sol",
        Usage(20_000, 900, cached=10_000, cache_write=9_000),
        1_000 * 2 + 10_000 * 0.1 + 9_000 * 2.5 + 900 * 10,
    ),
    "sol beyond its tier": Bill(
        RESPONSES,
        "openai",
        "gpt-6.1-sol",
        Usage(300_000, 2_000, cached=200_000, reasoning=1_500),
        100_000 * 4 + 200_000 * 0.2 + 2_000 * 15,
    ),
    "luna reasons": Bill(
        OPENAI, "openai", "gpt-6-luna", Usage(50_000, 30_000, reasoning=28_000), 50_000 * 0.1 + 30_000 * 0.5
    ),
    "flash thinks beside its answer": Bill(
        GEMINI,
        "gemini",
        "gemini-3.8-flash",
        Usage(40_000, 3_000, cached=30_000, reasoning=2_000),
        10_000 * 0.75 + 30_000 * 0.075 + 3_000 * 3.75,
    ),
    "pro at the edge of its tier": Bill(
        GEMINI, "gemini", "gemini-3.1-pro-preview", Usage(200_000, 1_000), 200_000 * 2 + 1_000 * 12
    ),
    "pro beyond it": Bill(
        GEMINI,
        "gemini",
        "gemini-3.1-pro-preview",
        Usage(200_001, 1_000, cached=100_000),
        100_001 * 4 + 100_000 * 0.4 + 1_000 * 18,
    ),
    "deepseek at noon": Bill(
        OPENAI,
        "deepseek",
        "deepseek-flash",
        Usage(90_000, 8_000, cached=60_000),
        30_000 * 0.15 + 60_000 * 0.003 + 8_000 * 0.6,
    ),
    "deepseek at its peak": Bill(
        OPENAI,
        "deepseek",
        "deepseek-flash",
        Usage(90_000, 8_000, cached=60_000),
        30_000 * 0.3 + 60_000 * 0.006 + 8_000 * 1.2,
        PEAK,
    ),
    "deepseek on a Saturday": Bill(
        OPENAI,
        "deepseek",
        "deepseek-v4-pro",
        Usage(90_000, 8_000, cached=60_000),
        30_000 * 0.66 + 60_000 * 0.022 + 8_000 * 1.98,
        WEEKEND,
    ),
    "an open model at groq": Bill(
        OPENAI,
        "groq",
        "openai/gpt-oss-120b",
        Usage(30_000, 2_000, cached=10_000),
        20_000 * 0.15 + 10_000 * 0.075 + 2_000 * 0.6,
    ),
    "sol at the price of flex": Bill(
        OPENAI,
        "openai",
        "gpt-6.1-sol",
        Usage(20_000, 900, cached=10_000, cache_write=9_000, tier="flex"),
        1_000 * 1 + 10_000 * 0.05 + 9_000 * 1.25 + 900 * 5,
        tier="flex",
    ),
    "sol first, for a long prompt": Bill(
        RESPONSES,
        "openai",
        "gpt-6.1-sol",
        Usage(300_000, 2_000, cached=200_000),
        100_000 * 8 + 200_000 * 0.4 + 2_000 * 30,
        tier="priority",
    ),
    "sol asked to be first, and was not": Bill(
        RESPONSES,
        "openai",
        "gpt-6.1-sol",
        Usage(8_000, 900, tier="default"),
        8_000 * 2 + 900 * 10,
        tier="priority",
    ),
    "sol first by its account's setting": Bill(
        OPENAI, "openai", "gpt-6.1-sol", Usage(8_000, 900, tier="priority"), 8_000 * 4 + 900 * 20, tier="auto"
    ),
    "opus asked to be fast, and was not": Bill(
        CLAUDE,
        "anthropic",
        "claude-opus-5-5",
        Usage(10_000, 1_000, tier="standard"),
        10_000 * 4 + 1_000 * 20,
        speed="fast",
    ),
    "haiku through a router, beyond its tier": Bill(
        OPENAI,
        "openrouter",
        "anthropic/claude-haiku-5.5",
        Usage(100_002, 4_000, cached=40_000, cache_write=50_000),
        10_002 * 0.5 + 40_000 * 0.05 + 50_000 * 0.625 + 4_000 * 2.5,
    ),
    "an open model at fireworks": Bill(
        OPENAI,
        "fireworks",
        "accounts/fireworks/models/deepseek-v4-pro",
        Usage(30_000, 2_000, cached=10_000, reasoning=1_500),
        20_000 * 1.74 + 10_000 * 0.145 + 2_000 * 3.48,
    ),
    "deepseek as its peak begins": Bill(
        OPENAI,
        "deepseek",
        "deepseek-flash",
        Usage(10_000, 1_000),
        10_000 * 0.3 + 1_000 * 1.2,
        datetime(2026, 11, 30, 6, tzinfo=UTC),
    ),
    "deepseek as its peak ends": Bill(
        OPENAI,
        "deepseek",
        "deepseek-flash",
        Usage(10_000, 1_000),
        10_000 * 0.15 + 1_000 * 0.6,
        datetime(2026, 11, 30, 10, tzinfo=UTC),
    ),
}


DIALECTS: dict[str, Dialect] = {"anthropic_messages": MESSAGES_DIALECT, "openai_responses": ResponsesDialect()}


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("name", BILLS)
async def test_a_bill(name: str, stream: bool) -> None:
    """The record has the vendor's amount and the date of its price."""
    bill = BILLS[name]
    wire, price = bill.wire, prices.price(bill.provider, bill.model)
    turn: Billed = streamed(wire, bill.used) if stream or not wire.dialect else documented(wire, bill.used)
    cloud = target(wire, "first", price, turn)
    retries = Retries(attempts=1)
    box = Box(engine_backend((error(401),)), [cloud], LEAVE, retries, wall=lambda: bill.at.timestamp() + 1.0)
    own = DIALECTS.get(wire.dialect, CHAT)
    wishes = {name: value for name, value in (("speed", bill.speed), ("service_tier", bill.tier)) if value}
    settled, _ = await box.live(box.ask(dialect=own, stream=stream, **wishes))
    (row,) = settled.decision.attempts
    assert settled.decision.cost_usd == row.cost_usd == pytest.approx(bill.micro / 1e6, abs=0.5e-6)
    assert price is not None and row.price_date == price.date != ""


@pytest.mark.parametrize(
    ("provider", "model", "used", "micro"),
    [
        (
            "anthropic",
            "claude-sonnet-5-5",
            Usage(50_000, 2_000, cached=20_000, cache_write=25_000, cache_write_1h=15_000),
            5_000 * 1 + 20_000 * 0.05 + 10_000 * 1.25 + 15_000 * 2 + 2_000 * 5,
        ),
        ("anthropic", "claude-haiku-5-5", Usage(150_000, 4_000), 150_000 * 0.25 + 4_000 * 1.25),
        ("openai", "gpt-6.1-sol", Usage(20_000, 900, cached=10_000), 10_000 * 1 + 10_000 * 0.05 + 900 * 5),
        ("gemini", "gemini-2.5-flash", Usage(40_000, 3_000), 40_000 * 0.15 + 3_000 * 1.25),
        ("deepseek", "deepseek-flash", Usage(40_000, 3_000), 40_000 * 0.15 + 3_000 * 0.6),
    ],
)
def test_a_bill_of_a_batch(provider: str, model: str, used: Usage, micro: float) -> None:
    """Half of everything, long prompts and both cache writes included, where the vendor has such a price.

    The price of work in the vendors' own batches, to which nothing is given yet: no call is recorded with it.
    """
    price = prices.price(provider, model)
    assert price is not None
    assert price.rates(used.prompt, NOON.timestamp(), "batch").cost(used) == pytest.approx(micro)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("searches", [0, 3])
@pytest.mark.parametrize("wire", [CLAUDE, RESPONSES, GEMINI], ids=["claude", "responses", "gemini"])
async def test_searches_are_counted_and_not_priced(wire: BilledWire, searches: int, stream: bool) -> None:
    """Vendors bill them beside the tokens: the record has their number, and dollars of the tokens alone."""
    used = Usage(1_000, 100, searches=searches)
    turn: Billed = streamed(wire, used) if stream or not wire.dialect else documented(wire, used)
    cloud = target(wire, "first", Price(1.0, 10.0), turn)
    box = Box(engine_backend((error(401),)), [cloud], LEAVE, Retries(attempts=1))
    settled, _ = await box.live(box.ask(dialect=DIALECTS.get(wire.dialect, CHAT), stream=stream))
    (row,) = settled.decision.attempts
    assert (row.searches, row.cost_usd) == (searches, 0.002)


@pytest.mark.parametrize("asked", [{"service_tier": "batch"}, {"hearth": {"priority": "batch"}}, {"speed": "batch"}])
async def test_a_live_call_has_the_live_price(asked: dict[str, Any]) -> None:
    """Whatever its client calls it, and if it is batch work that may leave the box."""
    used, price = Usage(10_000, 1_000), prices.price("anthropic", "claude-opus-5-5")
    box = Box(engine_backend((error(401),)), [target(CLAUDE, "first", price, streamed(CLAUDE, used))], LEAVE)
    policy = box.desk.planner.policy
    box.desk.planner.policy = replace(policy, batch_leaves=True)
    settled, _ = await box.live(box.ask(stream=True, **asked))
    assert settled.decision.target == "vendor/first-model"
    assert settled.decision.cost_usd == pytest.approx((10_000 * 4 + 1_000 * 20) / 1e6)


async def test_a_decision_says_what_each_other_candidate_would_have_cost() -> None:
    """The same tokens without a cache, at every candidate that did not answer; None where no price is known."""
    used = Usage(10_000, 1_000, cached=9_000)
    first = target(CLAUDE, "first", prices.price("anthropic", "claude-opus-5-5"), streamed(CLAUDE, used))
    second = target(GEMINI, "second", prices.price("gemini", "gemini-3.8-flash"))
    third = target(OPENAI, "third", None)
    box = Box(engine_backend((error(401),)), [first, second, third], LEAVE, Retries(attempts=1))
    settled, _ = await box.live(box.ask(stream=True))
    costs = {each.target.partition("/")[2]: each.cost_usd for each in settled.decision.considered}
    assert costs["first-model"] is None and settled.decision.target == "vendor/first-model"
    assert costs["second-model"] == pytest.approx((10_000 * 0.75 + 1_000 * 3.75) / 1e6)
    assert costs["third-model"] is None and costs["small"] is None
