"""An engine's speeds, learned from observations. Knows no requests, only observations and their age.

Both learners forget, so that a new model, a busier GPU or a cold start are unlearned, and both lean towards "fast"
while they know little: an engine believed slow would never be asked again, one believed fast is corrected by its first
answer.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import msgspec

_FORGET = 0.98  # weight of all earlier observations when a new one comes: about the last 50 count
_ENOUGH = 3  # observations before a speed is believed
_STALL = 4.0  # times the expected: an observation counts as no more,
_STALL_LEAST = 0.25  # or as this many seconds
_MARGIN_WEIGHT = 0.05
_MARGIN_STEP = 0.2
_MARGIN_JUMP = 0.5  # of the way to an error above it
_MARGIN_BELIEVED_S = 3.0  # a margin that nothing teaches,
_MARGIN_HALF_LIFE_S = 4.0  # then it is forgotten by half every so often
_MOST_PREFIXES = 4096  # whose cached share is remembered


@dataclass(slots=True)
class Plane:
    """y = a * x1 + b * x2 with a, b >= 0: least squares, exponentially forgetting, drawn to zero by `lean` (x1, x2
    units).

    For prefill: seconds = per_request * requests + per_token * tokens. For decode: step = fixed * 1 + per_sequence *
    batch. known: observed often enough to be believed.
    """

    lean: tuple[float, float]
    seen: int = 0
    known: bool = False
    _s11: float = 0.0
    _s12: float = 0.0
    _s22: float = 0.0
    _s1y: float = 0.0
    _s2y: float = 0.0
    _fit: tuple[float, float] = (0.0, 0.0)

    def learn(self, x1: float, x2: float, y: float) -> None:
        """Takes in an observation. One far above the expected counts as a few times it: a stall is not a speed."""
        if self.known:
            y = min(y, max(_STALL * self.at(x1, x2), _STALL_LEAST))
        self._s11 = _FORGET * self._s11 + x1 * x1
        self._s12 = _FORGET * self._s12 + x1 * x2
        self._s22 = _FORGET * self._s22 + x2 * x2
        self._s1y = _FORGET * self._s1y + x1 * y
        self._s2y = _FORGET * self._s2y + x2 * y
        self.seen += 1
        self.known = self.seen >= _ENOUGH
        # The normal equations. A coefficient below zero becomes zero, and the other is fitted alone.
        s11 = self._s11 + self.lean[0] ** 2
        s22 = self._s22 + self.lean[1] ** 2
        determinant = s11 * s22 - self._s12**2
        a = (self._s1y * s22 - self._s2y * self._s12) / determinant
        b = (self._s2y * s11 - self._s1y * self._s12) / determinant
        if a < 0:
            a, b = 0.0, max(0.0, self._s2y / s22)
        elif b < 0:
            a, b = max(0.0, self._s1y / s11), 0.0
        self._fit = a, b

    def at(self, x1: float, x2: float) -> float:
        """The y expected there; 0.0 while not known."""
        if not self.known:
            return 0.0
        return self._fit[0] * x1 + self._fit[1] * x2


@dataclass(slots=True)
class Lengths:
    """The mean length of answers, as tokens generated per answer that ended.

    The lengths of ended answers alone would be those of the short ones first; tokens generated and answers ended in the
    same stretch of time have the right mean from the start.
    """

    _tokens: float = 0.0
    _ends: float = 0.0

    def generated(self, tokens: int) -> None:
        """Tokens of any answer."""
        self._tokens += tokens

    def ended(self, more: int = 0) -> None:
        """The end of one whole answer. more: tokens of it that `generated` does not know."""
        self._tokens = _FORGET * self._tokens + more
        self._ends = _FORGET * self._ends + 1

    def retracted(self, tokens: int) -> None:
        """Takes out the tokens of an answer that will have no end: it was cancelled or failed."""
        self._tokens = max(0.0, self._tokens - tokens)

    @property
    def mean(self) -> float:
        """Tokens of one answer; 0.0 before the first end."""
        return self._tokens / self._ends if self._ends else 0.0


@dataclass(slots=True)
class Quantile:
    """The time within which `share` of the latest answers began, followed step by step. value: None before the first."""

    share: float = 0.9
    value: float | None = None
    _spread: float = 0.0

    def learn(self, seconds: float) -> None:
        """One answer's time to its first token."""
        if self.value is None:
            self.value, self._spread = seconds, seconds / 4
            return
        self._spread += _MARGIN_WEIGHT * (abs(seconds - self.value) - self._spread)
        step = self.share if seconds > self.value else self.share - 1.0
        self.value = max(0.0, self.value + _MARGIN_STEP * self._spread * step)


@dataclass(slots=True)
class Margin:
    """The seconds to add to a prediction so that `share` of them hold: a quantile of their errors, followed step by
    step.
    """

    share: float = 0.95
    seconds: float = 0.0
    _spread: float = 0.0
    _at: float = 0.0

    def at(self, now: float) -> float:
        """The margin now. It is forgotten while nothing teaches it: one too large would keep away what could correct it."""
        idle = now - self._at - _MARGIN_BELIEVED_S
        return self.seconds if idle <= 0 else self.seconds * float(0.5 ** (idle / _MARGIN_HALF_LIFE_S))

    def learn(self, error: float, now: float) -> None:
        """`error`: seen minus predicted, seconds."""
        self.seconds, self._at = self.at(now), now
        if error > self.seconds:  # an engine that became slower is noticed at once
            self.seconds += _MARGIN_JUMP * (error - self.seconds)
        self._spread += _MARGIN_WEIGHT * (abs(error) - self._spread)
        step = self.share if error > self.seconds else self.share - 1.0
        self.seconds = max(0.0, self.seconds + _MARGIN_STEP * self._spread * step)


class CachedShares(OrderedDict[int, float]):
    """The share of the latest prompt that the engine found in its cache, by prefix. The oldest are forgotten."""

    def learn(self, prefix: int, share: float) -> None:
        """A prefix that was never found in it is not remembered."""
        if share or prefix in self:
            self[prefix] = share
            self.move_to_end(prefix)
            if len(self) > _MOST_PREFIXES:
                self.popitem(last=False)


class FirstTokens(msgspec.Struct, gc=False):
    """First tokens of one step: `count` prompts of `tokens` in all, read between `start` and `end`."""

    start: float
    end: float
    count: int
    tokens: int
