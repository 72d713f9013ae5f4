"""Prices: what a model's tokens cost, by prompt length, hour and kind of processing. Knows no vendor and no clock.

A price per million tokens in dollars is the same number in micro-dollars per token, and costs are whole micro-dollars.

    Rates     the price of each kind of token at one moment
    Tariff    other rates, and when they hold: long prompts, hours of the day, from a date on, batches
    Price     the rates that hold otherwise, the tariffs, and where and when all of them were read
"""

from __future__ import annotations

import msgspec

from runtime.contract.usage import Usage

OWN_PRICE = "the settings"  # the source of a price that an operator has set
BATCH = "batch"  # the processing of what a vendor may answer within a day

_DAY = 86_400
_THURSDAY = 3  # the weekday of the first day of unix time, counted from Monday
_SATURDAY = 5


class Rates(msgspec.Struct, frozen=True, gc=False):
    """Dollars per million tokens. None: no rate of its own.

    Cached tokens without a rate cost the input's, one-hour writes without one the shorter ones', reasoning the output's.
    """

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    reasoning: float | None = None

    def cost(self, usage: Usage) -> float:
        """Micro-dollars of an answer. Counts that a server got wrong never earn money."""
        read = self.input if self.cache_read is None else self.cache_read
        write = self.input if self.cache_write is None else self.cache_write
        long = write if self.cache_write_1h is None else self.cache_write_1h
        thought = self.output if self.reasoning is None else self.reasoning
        hour = max(0, min(usage.cache_write_1h, usage.cache_write))
        reasoning = max(0, min(usage.reasoning, usage.completion))
        return (
            max(0, usage.prompt - usage.cached - usage.cache_write) * self.input
            + max(0, usage.cached) * read
            + max(0, usage.cache_write - hour) * write
            + hour * long
            + max(0, usage.completion - reasoning) * self.output
            + reasoning * thought
        )


class Tariff(msgspec.Struct, frozen=True):
    """Rates that hold for some requests, for the whole of each.

    above: prompts of more tokens, cached ones included. since: unix seconds. hours: seconds of the day in UTC, from and
    until; the second may be the smaller one. weekdays: Monday to Friday alone. processing: "" for live requests.
    """

    rates: Rates
    above: int = 0
    since: float = 0.0
    hours: tuple[int, int] | None = None
    weekdays: bool = False
    processing: str = ""

    def holds(self, prompt: int, at: float, processing: str) -> bool:
        """True for a request with a prompt of so many tokens at this time, unix seconds."""
        if prompt <= self.above > 0 or at < self.since or self.processing not in ("", processing):
            return False
        if self.weekdays and (at // _DAY + _THURSDAY) % 7 >= _SATURDAY:
            return False
        if self.hours is None:
            return True
        start, end = self.hours
        second = at % _DAY
        return start <= second < end if start <= end else second >= start or second < end


class Price(Rates, frozen=True):
    """The rates of a model. The last tariff that holds replaces them.

    source: where they were read. date: the day of that, ISO 8601; both "" if not known.
    """

    tariffs: tuple[Tariff, ...] = ()
    source: str = ""
    date: str = ""

    def rates(self, prompt: int, at: float, processing: str = "") -> Rates:
        """The rates of a request with a prompt of so many tokens, cached ones included. at: unix seconds."""
        found: Rates = self
        for tariff in self.tariffs:
            if tariff.holds(prompt, at, processing):
                found = tariff.rates
        return found

    def live(self, prompt: int, processing: str = "") -> tuple[Rates, ...]:
        """Its own rates, and all those that some hour has for a live prompt of so many tokens."""
        kinds = ("", processing)
        return (self, *[each.rates for each in self.tariffs if each.processing in kinds and prompt > each.above])

    def most(self, usage: Usage, processing: str = "") -> float:
        """Micro-dollars of a live answer at the dearest hour: a bound that can be promised."""
        return max([rates.cost(usage) for rates in self.live(usage.prompt, processing)])
