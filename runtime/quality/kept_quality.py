"""The highest complexity threshold that keeps a wanted share of the answers on the box good enough, from judged requests. Pure.

Thresholds are tried from the most cautious one outwards, each on all requests that it keeps, and the last one that holds is
proposed: the first that fails ends the search, so that the number of tries costs nothing (a fixed-sequence test). A threshold
holds if the 95 % bound of the bad share of what it keeps (Clopper-Pearson, one-sided) is within what is allowed. A judge
misses some bad answers: how many is read from the anchors, pairs whose winner is known, and its own lower bound is divided
out. The two bounds share the five percent.

The guarantee holds for requests like those that were judged, and for a judge that finds a worse answer among them as surely
as among the anchors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from runtime.quality.binomial import clopper_pearson

STEPS = 20  # thresholds that are tried at most
_BAD_AT_FIRST = (
    2  # answers that may be bad at the first threshold: with fewer requests one unlucky answer ends the search
)
_FIRST = 0.3  # of the requests: the share that the first threshold keeps at least
_CHOSEN_ON = 2 / 3
_ERROR = 0.05
_PLACES = 4
_MOST_NEEDED = 100_000


class QualityLabel(msgspec.Struct, frozen=True):
    """A request whose answer by the local model is known to be good enough or not.

    score: its complexity. bad: clearly worse than another model's, or a golden case that failed. judged: by a judge, which
    errs.
    """

    id: str
    score: float
    bad: bool
    judged: bool = False


class FoundWinners(msgspec.Struct, frozen=True):
    """Anchors with a winner, and those of them whose winner the judge named in both orders."""

    found: int = 0
    anchors: int = 0


class TriedThreshold(msgspec.Struct, frozen=True):
    """kept: requests below the threshold. bad: those of them that are labelled so. quality: the corrected share of good ones;
    low: its lower bound. leaves: the share of the labelled requests that leaves. holds: low is at least what is wanted.
    """

    threshold: float
    kept: int
    bad: int
    quality: float
    low: float
    leaves: float
    holds: bool


class QualityProposal(msgspec.Struct, frozen=True, kw_only=True):
    """threshold: None if none holds. chosen_on: the tried threshold that is proposed. held_out: the same on the third of the
    requests that it was not chosen on; its bound is for that third alone. curve: every threshold, also those behind the first
    failure. needed: requests at the first threshold. judge: its winners found, None without judged requests.
    """

    wanted: float
    requests: int
    judged: int
    needed: int
    threshold: float | None
    chosen_on: TriedThreshold | None
    held_out: TriedThreshold | None
    curve: tuple[TriedThreshold, ...]
    judge: FoundWinners | None = None
    confidence: float = 1 - _ERROR


class TooFewLabelsError(ValueError):
    """have: requests with a label. needed: those without which no threshold can hold. The message has both."""

    def __init__(self, words: str, have: int, needed: int) -> None:
        super().__init__(words)
        self.have, self.needed = have, needed


class LabelBound(NamedTuple):
    """The bound of a bad share. error: what is left of the five percent. finds, finds_low: the share of bad answers that is
    labelled so, and its lower bound.
    """

    error: float
    finds: float = 1.0
    finds_low: float = 1.0

    def tried(self, threshold: float, labels: Sequence[QualityLabel], wanted: float) -> TriedThreshold:
        """A threshold on these requests."""
        own = [each for each in labels if each.score < threshold]
        bad, judged = sum(each.bad for each in own), sum(each.bad and each.judged for each in own)
        seen = (judged / self.finds + bad - judged) / len(own) if own else 0.0
        low = max(0.0, 1 - self.most(bad, len(own)))
        leaves = 1 - len(own) / len(labels) if labels else 0.0
        return TriedThreshold(
            threshold,
            len(own),
            bad,
            round(max(0.0, 1 - seen), _PLACES),
            round(low, _PLACES),
            round(leaves, _PLACES),
            holds=bool(own) and low >= wanted,
        )

    def most(self, bad: int, of: int) -> float:
        """The upper bound of the true bad share, where so many are labelled bad."""
        return min(1.0, clopper_pearson(bad, of, 1 - 2 * self.error)[1] / self.finds_low) if self.finds_low else 1.0

    def needed(self, wanted: float) -> int:
        """The fewest requests of which two may be bad."""
        low, high = 1, _MOST_NEEDED
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.most(_BAD_AT_FIRST, middle) <= 1 - wanted else (middle + 1, high)
        return low


def bound_of(judge: FoundWinners | None) -> LabelBound:
    """judge: None where nothing was judged, and labels do not err."""
    if judge is None:
        return LabelBound(_ERROR)
    finds = judge.found / judge.anchors if judge.anchors else 0.0
    return LabelBound(_ERROR / 2, max(finds, 1e-9), clopper_pearson(judge.found, judge.anchors, 1 - _ERROR)[0])


def kept_quality(wanted: float, labels: Sequence[QualityLabel], judge: FoundWinners | None = None) -> QualityProposal:
    """The threshold for a quality between 0 and 1. judge: of the judged labels. Raises TooFewLabelsError."""
    judged = sum(each.judged for each in labels)
    bound = bound_of(judge or FoundWinners()) if judged else bound_of(None)
    # (1) Two thirds to choose on, always the same ones.
    order = sorted(labels, key=lambda each: hashlib.blake2b(each.id.encode(), digest_size=8).digest())
    cut = round(len(order) * _CHOSEN_ON)
    first, second = order[:cut], order[cut:]
    needed = bound.needed(wanted)
    if needed > len(first):
        words = f"{len(labels):,} requests have a label; {_in_all(needed):,} are needed for {wanted:g}"
        raise TooFewLabelsError(words, len(labels), _in_all(needed))
    # (2) Outwards from the first threshold that keeps enough, until one fails.
    fewest = max(needed, round(len(first) * _FIRST))
    curve = [bound.tried(each, first, wanted) for each in thresholds([each.score for each in first], fewest)]
    held = next((place for place, each in enumerate(curve) if not each.holds), len(curve))
    chosen = curve[held - 1] if held else None
    return QualityProposal(
        wanted=wanted,
        requests=len(labels),
        judged=judged,
        needed=_in_all(needed),
        threshold=None if chosen is None else chosen.threshold,
        chosen_on=chosen,
        held_out=None if chosen is None else bound.tried(chosen.threshold, second, wanted),
        curve=tuple(curve),
        judge=judge if judged else None,
    )


def thresholds(scores: Sequence[float], fewest: int) -> list[float]:
    """At most STEPS thresholds, the lowest keeping at least so many of the scores, the last one all of them."""
    ordered = sorted(scores)
    found: list[float] = []
    for step in range(STEPS):
        at = fewest + round((len(ordered) - fewest) * step / (STEPS - 1))
        # Equal scores stay or leave together: the threshold is above them.
        above = next((each for each in ordered[at:] if each > ordered[at - 1]), None)
        middle = 1.0 if above is None else (ordered[at - 1] + above) / 2
        rounded = [round(middle, places) for places in (_PLACES, 2 * _PLACES)]
        fits = [each for each in rounded if ordered[at - 1] < each and (above is None or each <= above)]
        threshold = fits[0] if fits else middle
        if not found or threshold > found[-1]:
            found.append(threshold)
    return found


def _in_all(needed: int) -> int:
    """Requests of which two thirds are so many."""
    return next(each for each in range(needed, 2 * needed + 2) if round(each * _CHOSEN_ON) >= needed)
