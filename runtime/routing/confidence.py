"""Early confidence: how likely a local answer is right, judged by the log probabilities of its first tokens. Pure.

Six features of the first tokens make one score, and a calibration for this model turns the score into the share of right
answers among those that scored like it. What was measured for one model says nothing about another: a `ConfidenceMap`
belongs to a model and a revision of it. Knows no wire and no file.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from runtime.dialects.openai_chat.early_tokens import EarlyToken

FEATURES = ("mean", "least", "low", "margin", "entropy", "finished")
_LEAST_LOGPROB = -20.0  # engines write -9999 for a token that cannot be
_LOW = 0.2  # the low quantile


def features_of(tokens: Sequence[EarlyToken], finish: str | None) -> tuple[float, ...]:
    """The numbers that FEATURES names, of at least one token.

    mean, least, low: of the tokens' log probabilities, the last their 20 % quantile. margin: by how much the first token
    leads its best rival. entropy: mean over the tokens, in nats, of those listed and the rest as one. finished: 1 if the
    answer ended by itself within these tokens, -1 if it was cut by its limit, else 0.
    """
    logprobs = [max(each.logprob, _LEAST_LOGPROB) for each in tokens]
    first = tokens[0]
    rival = max(first.rivals[0], _LEAST_LOGPROB) if first.rivals else _LEAST_LOGPROB
    ended = {"stop": 1.0, "length": -1.0}.get(finish or "", 0.0)
    return (
        sum(logprobs) / len(logprobs),
        min(logprobs),
        sorted(logprobs)[int(_LOW * (len(logprobs) - 1))],
        logprobs[0] - rival,
        sum(map(_entropy, tokens)) / len(tokens),
        ended,
    )


def _entropy(token: EarlyToken) -> float:
    shares = [math.exp(min(0.0, each)) for each in (token.logprob, *token.rivals)]
    rest = max(0.0, 1.0 - sum(shares))
    return -sum(share * math.log(share) for share in (*shares, rest) if share > 0.0)


class ConfidenceMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model's map from features to the share of right answers.

    center, scale, weights: of each feature, and bias, of a logistic score. scores, shares: the isotonic map, both rising.
    rows, right: prompts it was fitted on, and how many of them were answered right. auroc, error: of the score and the
    expected calibration error of the map, on prompts they were not fitted on. at: unix seconds.
    """

    model: str
    revision: str
    center: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    scores: tuple[float, ...]
    shares: tuple[float, ...]
    rows: int = 0
    right: int = 0
    auroc: float | None = None
    error: float | None = None
    at: float = 0.0
    version: int = 1

    def score(self, features: Sequence[float]) -> float:
        """The logistic score, before the map."""
        parts = zip(features, self.center, self.scale, self.weights, strict=True)
        return self.bias + sum(weight * (value - center) / scale for value, center, scale, weight in parts)

    def share(self, score: float) -> float:
        """The share of right answers at a score: linear between the points of the map, level beyond them."""
        place = bisect_right(self.scores, score)
        if place in (0, len(self.scores)):
            return self.shares[max(0, place - 1)]
        low, high = self.scores[place - 1], self.scores[place]
        part = (score - low) / (high - low)
        return self.shares[place - 1] + part * (self.shares[place] - self.shares[place - 1])

    def confidence(self, tokens: Sequence[EarlyToken], finish: str | None) -> float | None:
        """The share of right answers among those that begin like this one, in [0, 1]; None without a token."""
        return self.share(self.score(features_of(tokens, finish))) if tokens else None


class EarlyLook(msgspec.Struct, frozen=True):
    """The condition under which a local answer may be committed.

    least: the confidence below which it is given up. wait_s: the longest wait for its first tokens after the very first.
    """

    map: ConfidenceMap
    least: float
    wait_s: float
