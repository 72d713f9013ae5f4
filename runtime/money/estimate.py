"""The most that a call to a cloud is expected to cost, and the true cost of its exchanges. Whole micro-dollars. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from runtime.contract.prices import Price
from runtime.contract.targets import Target
from runtime.contract.usage import Usage
from runtime.money.cost import MICRO

UNKNOWN = Price(30.0, 180.0)  # where no price is known at all: above every model's of today
_LEARNED = 20  # answers of a model before its lengths are trusted
_UNLEARNED = 4096  # tokens of an answer until then
LONG = 65_536  # tokens of the longest answer, where nothing is known of it
_PROMPT_MARGIN = 1.25  # the prompt's tokens are an estimate
_MODELS = 512


class Answers:
    """The lengths of the latest answers, by model label. most: models that are remembered."""

    def __init__(self, most: int = _MODELS) -> None:
        self._most = most
        self._tokens: OrderedDict[str, deque[int]] = OrderedDict()

    def learn(self, label: str, tokens: int) -> None:
        self._tokens.setdefault(label, deque(maxlen=200)).append(tokens)
        self._tokens.move_to_end(label)
        if len(self._tokens) > self._most:
            self._tokens.popitem(last=False)

    def p95(self, label: str) -> int:
        """Tokens that 95 of 100 answers do not exceed."""
        seen = sorted(self._tokens.get(label, ()))
        return seen[len(seen) * 95 // 100] if len(seen) >= _LEARNED else _UNLEARNED

    def longest(self, label: str) -> int:
        """Tokens of the longest of them."""
        seen = self._tokens.get(label, ())
        return max(seen) if len(seen) >= _LEARNED else LONG


def dearest(prices: Iterable[Price | None]) -> Price:
    """The price that stands in for an unknown one."""
    known = [each for each in prices if each is not None]
    return max(known, key=lambda each: each.output, default=UNKNOWN)


def expected_micro(price: Price, prompt: int, answer: int, processing: str = "") -> int:
    """The most that a call is expected to cost: a prompt all newly cached, an answer all reasoned, if that is dearer."""
    prompt = int(prompt * _PROMPT_MARGIN) + 1
    return 1 + round(
        max(
            price.most(
                Usage(prompt, answer, cache_write=written, cache_write_1h=written, reasoning=reasoned), processing
            )
            for written in (0, prompt)
            for reasoned in (0, answer)
        )
    )


def answer_tokens(target: Target, asked: int | None, answers: Answers) -> tuple[int, int]:
    """Tokens of a usual answer and of the longest. asked: the client's limit, which is both; None: it set none."""
    usual, longest = (answers.p95(target.label), answers.longest(target.label)) if asked is None else (asked, asked)
    able = target.capabilities.max_output_tokens
    return (usual, longest) if able is None else (min(usual, able), min(longest, able))


def true_micro(price: Price, cost_usd: float | None, usage: Usage, *, unanswered_prompt: int) -> int:
    """The cost of one exchange. cost_usd: None where the price or the usage is not known.

    unanswered_prompt: tokens that the provider may charge though it reported nothing, because the exchange was broken off.
    """
    if cost_usd is not None:
        return round(cost_usd * MICRO)
    if usage.prompt or usage.completion:
        return round(price.most(usage))
    return round(price.most(Usage(unanswered_prompt)))
