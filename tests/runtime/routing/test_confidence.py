"""The features of an answer's first tokens, and the map from them to the share of right answers."""

from __future__ import annotations

import math

import pytest

from runtime.dialects.openai_chat.early_tokens import EarlyToken
from runtime.routing.confidence import FEATURES, ConfidenceMap, features_of
from tests.fakes.sureness import BY_MEAN

TOKENS = [EarlyToken(-0.5, (-2.0, -3.0)), EarlyToken(-0.1, (-4.0,)), EarlyToken(-3.0, (-0.2, -5.0))]


def feature(name: str, tokens: list[EarlyToken], finish: str | None = None) -> float:
    return features_of(tokens, finish)[FEATURES.index(name)]


def test_the_features() -> None:
    """Each is what its name says."""
    assert feature("mean", TOKENS) == pytest.approx(-1.2)
    assert feature("least", TOKENS) == -3.0 and feature("low", TOKENS) == -3.0
    assert feature("margin", TOKENS) == 1.5
    assert [feature("finished", TOKENS, finish) for finish in ("stop", "length", "tool_calls", None)] == [1, -1, 0, 0]


def test_entropy_counts_the_rest_as_one() -> None:
    """Of a coin's two sides, and of a token whose rivals are not listed."""
    half = math.log(0.5)
    assert feature("entropy", [EarlyToken(half, (half,))]) == pytest.approx(math.log(2))
    assert feature("entropy", [EarlyToken(half)]) == pytest.approx(math.log(2))
    assert feature("entropy", [EarlyToken(0.0)]) == 0.0


def test_impossible_tokens_stay_finite() -> None:
    """An engine writes -9999 for what cannot be; a rounding error may give a probability above one."""
    for tokens in ([EarlyToken(-9999.0, (-9999.0,))], [EarlyToken(1e-7, (-9999.0,))], [EarlyToken(float("-inf"))]):
        assert all(math.isfinite(value) for value in features_of(tokens, None))


def test_the_map_is_linear_between_its_points_and_level_beyond() -> None:
    """By the mean alone: -4 and below is 0, 0 and above is 1."""
    assert [BY_MEAN.share(score) for score in (-9.0, -4.0, -3.0, -2.0, 0.0, 5.0)] == [0.0, 0.0, 0.25, 0.5, 1.0, 1.0]


def test_confidence_rises_with_the_tokens() -> None:
    """Of a map that reads the mean; None where there is no token to judge."""
    sure = BY_MEAN.confidence([EarlyToken(-0.1)] * 3, "stop")
    unsure = BY_MEAN.confidence([EarlyToken(-3.0)] * 3, "stop")
    assert sure is not None and unsure is not None and sure > 0.9 > 0.3 > unsure
    assert BY_MEAN.confidence([], "stop") is None


def test_a_map_of_one_point_is_level() -> None:
    """A model that is always right in the sample has one share."""
    one = ConfidenceMap("m", "", (0.0,) * 6, (1.0,) * 6, (1.0,) * 6, 0.0, (0.3,), (0.8,))
    assert one.share(-5.0) == one.share(0.3) == one.share(9.0) == 0.8
