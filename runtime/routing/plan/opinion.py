"""The band around the complexity threshold in which the local model's opinion decides in place of the score.

The opinion is the probability, by the local model's own one-token answer, that a prompt is hard for it
(`runtime.life.opinion` asks). Outside the band, and without an opinion, the score decides alone.
"""

from __future__ import annotations

from runtime.contract.targets import Target
from runtime.routing.facts.query import RoutingQuery
from runtime.routing.plan.picture import LocalState

BAND = 0.15  # on either side of the threshold
HARD = 0.5  # the opinion at and above which a prompt leaves
LONGEST_S = 0.3  # longest wait for an opinion
_GENERATING = frozenset({"openai_chat", "openai_completions", "openai_responses", "anthropic_messages"})


def in_band(score: float, threshold: float) -> bool:
    return abs(score - threshold) <= BAND + 1e-9


def can_be_asked(query: RoutingQuery, local: LocalState, target: Target) -> bool:
    """True if an engine that is up and calm has not been asked yet and is expected to answer in time."""
    calm = local.replicas_ready > 0 and local.pressure.over is None and local.predicted_ttft_s < LONGEST_S
    return calm and query.opinion is None and query.facts.dialect in _GENERATING and target.capabilities.logprobs


def hard(query: RoutingQuery, threshold: float, asked: bool) -> str:
    """Why a prompt is taken to be hard, by its score or, near the threshold, by the local model's opinion; "" if not.

    asked: the settings want that opinion.
    """
    score, opinion = query.score, query.opinion
    words = f"score {score:.2f}, the threshold is {threshold:g}"
    if opinion is None or not asked or not in_band(score, threshold):
        return words if score >= threshold else ""
    return f"the local model finds it hard ({opinion:.2f}); {words}" if opinion >= HARD else ""
