"""Label probabilities: the constrained decoder's own distribution over whole labels, read off greedy answers.

Definition. Under `structured_outputs.choice` the engine generates only tokens that keep the text a beginning of some
label (and the end of the answer where a label is complete). Sampling from the model under that rule emits each label
with some probability; that probability is what is reported. By the chain rule it is the product, over the steps that
lead to the label, of the token's probability among the tokens the rule allows there, added up over all ways to cut
the label into tokens.

What one answer shows. Every step lists the allowed tokens with their probabilities, so the path taken is known
exactly, and so is every token not taken that leads to one label only. A token not taken that leads to several labels
is a *fork*: how its mass divides among them is not in this answer. Three things can be done with a fork:

    ask       its labels do not include the one answered: put the same question with the choice of those labels only.
              The rule allows the same tokens below the fork then, so the division read there is the division here.
    divide    its labels include the one answered (the fork is another cut of the same letters, "N" beside "New"), or
              its mass is too small to matter: it is divided in the proportion in which the known mass lies on its
              labels.
    re-ask    the answer was cut by the token limit before the path was decided: ask again with room for the whole
              label.

Engines that list unmasked probabilities are read the same way: tokens that lead to no label are left out and the rest
is scaled. Knows nothing of requests, prompts or rows.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from local_models.classification.answer import Answer, AnswerError, Step, Token

_NOTHING = 1e-4  # mass that moves no digit anybody reads
_LAST_ASCII = "\x7f"

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fork:
    """Mass known to lie on these labels together, its division unknown."""

    labels: Labels
    mass: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What one answer shows. settled, forks: shares of 1; what is missing to 1 was listed nowhere and leads to
    known labels.

    answered: the label the path leads to, None where the token limit cut the path before it was decided (then the
    path is a fork too). depth: steps after which the path was decided.
    """

    settled: Mapping[str, float]
    forks: tuple[Fork, ...]
    answered: str | None
    depth: int


@dataclass(frozen=True, slots=True)
class Scores:
    """probabilities: every label, in the order of the question, sum 1.

    coverage: the share that was read off and not divided by proportion.
    """

    label: str
    probabilities: Mapping[str, float]
    coverage: float


@dataclass(frozen=True, slots=True)
class _Listing:
    """masked: tokens the rule forbids are not listed.

    closing: the text of the token that ended this answer, where it is known.
    """

    masked: bool
    closing: str | None


@dataclass(slots=True)
class _Walk:
    """Where on the path the reader is: `mass` of it, `offset` characters into the labels that are still possible."""

    labels: Labels
    mass: float = 1.0
    offset: int = 0

    def after(self, token: Token) -> Labels:
        """The labels that go on with the token."""
        return _going_on(self.labels, self.offset, token.text)

    def ended(self) -> Labels:
        """The label that is complete here, if one is."""
        return tuple(label for label in self.labels if len(label) == self.offset)

    def take(self, token: Token, share: float) -> None:
        """One step on. A token that goes on with no label is the end of the one that is complete."""
        self.mass *= share
        after = self.after(token)
        self.labels = after or self.ended()
        self.offset += len(token.text) if after else 0


@lru_cache(maxsize=4096)  # the rows of a run meet the same few tokens again and again
def _going_on(labels: Labels, offset: int, text: str) -> Labels:
    """The labels that go on with a text. A token without text ends inside a character: any of several bytes may follow."""
    if text == "":
        return tuple(label for label in labels if label[offset : offset + 1] > _LAST_ASCII)
    return tuple(label for label in labels if label.startswith(text, offset))


def read(answer: Answer, labels: Labels) -> Reading:
    """What an answer held to `labels` shows of them. Raises AnswerError where it answers none of them."""
    _check_held(answer, labels)
    listing, walk = _listing(answer, labels), _Walk(labels)
    settled: dict[str, float] = defaultdict(float)
    forks: list[tuple[Labels, float, bool]] = []
    for depth, step in enumerate(answer.steps, 1):
        share, branches = _branches(step, walk, listing)
        forks += [(branch, walk.mass * part, inside) for branch, part, inside in branches]
        walk.take(step.taken, share)
        if len(walk.labels) == 1:
            return _reading(settled, forks, walk, walk.labels[0], depth)
    return _reading(settled, forks, walk, answer.text if answer.ended else None, len(answer.steps))


def _reading(
    settled: dict[str, float], found: list[tuple[Labels, float, bool]], walk: _Walk, answered: str | None, depth: int
) -> Reading:
    """Sorts what was found into settled labels and forks.

    A fork whose token ends inside a character is taken not to be another cut of the answered label: its text does not
    tell.
    """
    if answered is None:
        found.append((walk.labels, walk.mass, False))
    else:
        settled[answered] += walk.mass
    forks = []
    for labels, mass, inside in found:
        left = tuple(label for label in labels if label != answered) if inside and len(labels) > 1 else labels
        if len(left) == 1:
            settled[left[0]] += mass
        elif mass > 0.0:
            forks.append(Fork(left, mass))
    return Reading(settled, tuple(forks), answered, depth)


def _check_held(answer: Answer, labels: Labels) -> None:
    held = answer.text in labels if answer.ended else any(label.startswith(answer.text) for label in labels)
    if not held:
        raise AnswerError(
            f"the engine answered {answer.text[:60]!r}, which is none of the labels: it must support "
            f"structured_outputs.choice, "
            "and a model that thinks first must be told not to"
        )


def _listing(answer: Answer, labels: Labels) -> _Listing:
    """How to read this answer's lists: masked if, where nothing can have ended yet, every listed token leads to a
    label.
    """
    walk, masked = _Walk(labels), True
    for step in answer.steps:
        if not walk.ended():
            masked = masked and all(walk.after(token) for token in step.others)
        walk.take(step.taken, 1.0)
        if len(walk.labels) == 1:
            break
    closing = answer.steps[-1].taken.text
    text = "".join(step.taken.text for step in answer.steps[:-1])
    return _Listing(masked, closing if answer.ended and text == answer.text else None)


def _branches(step: Step, walk: _Walk, listing: _Listing) -> tuple[float, list[tuple[Labels, float, bool]]]:
    """The taken token's share of the step; and of every token not taken its labels, its share, and whether it ends
    inside a character.
    """
    weight = math.exp(step.taken.logprob)
    others = [(_leads_to(token, walk, listing), math.exp(token.logprob), token.text == "") for token in step.others]
    others = [other for other in others if other[0]]
    listed = weight + sum(share for _, share, _ in others)
    seen = {label for labels, _, _ in others for label in labels} | set(walk.after(step.taken) or walk.ended())
    unseen = tuple(label for label in walk.labels if label not in seen)
    if unseen:
        others.append((unseen, _unlisted(step, listed, len(unseen), listing.masked), False))
    total = weight + sum(share for _, share, _ in others)
    if listing.masked:
        total = max(total, 1.0)
    return weight / total, [(labels, share / total, inside) for labels, share, inside in others]


def _leads_to(token: Token, walk: _Walk, listing: _Listing) -> Labels:
    """The labels below a listed token; none where the rule would not have allowed it."""
    is_end = listing.masked or token.text == listing.closing
    return walk.after(token) or (walk.ended() if is_end else ())


def _unlisted(step: Step, listed: float, unseen: int, masked: bool) -> float:
    """Mass of labels that no listed token leads to: what the list leaves of 1, or, unmasked, at most the least
    listed for each.
    """
    if masked:
        return max(0.0, 1.0 - listed)
    least = min(token.logprob for token in (step.taken, *step.others))
    return unseen * math.exp(least)


class Tally:
    """Collects readings of one row until its probabilities are known well enough.

    tolerance: share of the mass that may be divided by proportion although a further question could settle it.
    """

    def __init__(self, labels: Labels, tolerance: float) -> None:
        self._labels = labels
        self._tolerance = tolerance
        self._settled: dict[str, float] = dict.fromkeys(labels, 0.0)
        self._open: dict[Labels, float] = {}
        self._divided: dict[Labels, float] = defaultdict(float)

    def add(self, reading: Reading, labels: Labels) -> None:
        """Takes in the reading of a question held to `labels`: all of them, or those `next_question` named."""
        scale = 1.0 if labels == self._labels else self._open.pop(labels)
        for label, mass in reading.settled.items():
            self._settled[label] += scale * mass
        for fork in reading.forks:
            asked_before = fork.labels == labels or reading.answered in fork.labels
            pile = self._divided if asked_before else self._open
            pile[fork.labels] = pile.get(fork.labels, 0.0) + scale * fork.mass

    def next_question(self) -> Labels | None:
        """The labels to hold a further question to; None when the answer is known well enough."""
        unknown = sum(self._open.values())
        if unknown <= _NOTHING or (unknown <= self._tolerance and self._lead() > unknown):
            return None
        return max(self._open, key=self._open.__getitem__)

    def scores(self) -> Scores:
        """The distribution as known so far."""
        known = sum(self._settled.values())
        shares = dict(self._settled)
        for labels, mass in (*self._open.items(), *self._divided.items()):
            for label, share in _in_proportion(labels, self._settled).items():
                shares[label] += mass * share
        total = sum(shares.values())
        probabilities = {label: share / total for label, share in shares.items()}
        label = max(self._labels, key=probabilities.__getitem__)
        return Scores(label, probabilities, min(1.0, known))

    def _lead(self) -> float:
        first, second = sorted(self._settled.values(), reverse=True)[:2]
        return first - second


def _in_proportion(labels: Sequence[str], settled: Mapping[str, float]) -> Mapping[str, float]:
    known = sum(settled[label] for label in labels)
    if known <= 0.0:
        return dict.fromkeys(labels, 1.0 / len(labels))
    return {label: settled[label] / known for label in labels}
