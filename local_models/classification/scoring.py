"""Label probabilities, scored over whole label sequences.

Definition. Every label is the sequence of tokens the model's tokenizer cuts it into, and the end of the answer behind it.
Laid together they are a tree. At every place where labels part, each token that leads on has the model's probability for
it there, as a share of all the tokens that lead on there. A label's probability is the product of the shares on its way.
So the labels' probabilities sum to 1, labels that share their first tokens are told apart where they part, and a label
that begins another ("spam", "spam-like") is told from it by the end of the answer.

It is the distribution of a sampler that may choose labels only, and spells them as the tokenizer does. Other spellings
the engine's grammar allows ("B", "oston") are left out on purpose: the probability of "B" is that of all that begins so.

What one answer shows. The engine lists probabilities at every step of a greedy answer that is held to the labels: of the
most probable tokens the labels allow, or of the tree's tokens, named. So the first place is known, and every further one
on the way the answer takes. A place beside that way is asked about by itself, with the answer begun up to it
(`LabelTally.next_question`), while its mass matters. Whether the listed probabilities are those before or after the engine's
mask makes no difference: only shares are read.

Knows nothing of requests, prompts or rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from local_models.classification.answer import AnswerError, ScoredAnswer, ScoredToken
from local_models.classification.tree import Labels, LabelTree, Node

_NOTHING = 1e-4  # mass that moves no digit anybody reads


@dataclass(frozen=True, slots=True)
class Scores:
    """probabilities: every label, in the order of the question, sum 1.

    coverage: the share of the mass whose way was read off to its label; the rest was divided evenly.
    """

    label: str
    probabilities: Mapping[str, float]
    coverage: float


class LabelTally:
    """The probabilities of one row, as far as they are known.

    tolerance: share of the mass that may be left undivided although a further question could settle it.
    """

    def __init__(self, tree: LabelTree, tolerance: float) -> None:
        self._tree = tree
        self._tolerance = tolerance
        self._shares: dict[Labels, Mapping[int, float]] = {}
        self._loose: dict[Labels, float] = {}  # share of a place's mass that was not listed but bounded
        self._settled: dict[str, float] = {}
        self._open: dict[Labels, float] = {}
        self._missing = 0.0
        self._divide()

    def read(self, answer: ScoredAnswer) -> None:
        """Takes in the greedy answer that is held to all labels. Raises AnswerError where it is none of them."""
        check_held(answer, self._tree.labels)
        node = self._tree.root
        for depth, step in enumerate(answer.steps):
            if depth < len(node.path):
                if step.taken != node.path[depth]:
                    break
                continue
            self._take(node, step)
            behind = node.children.get(step.taken, ())
            if len(behind) < 2:
                break
            node = self._tree.nodes[behind]
        self._divide()

    def take(self, node: Node, step: ScoredToken) -> None:
        """Takes in the step behind an answer begun up to `node`."""
        self._take(node, step)
        self._divide()

    def next_question(self) -> Node | None:
        """The place to ask about next; None when the probabilities are known well enough, or cannot be known better."""
        askable = {labels: mass for labels, mass in self._open.items() if self._tree.nodes[labels].text is not None}
        unknown = sum(askable.values())
        first, second = sorted(self._settled.values(), reverse=True)[:2]
        if unknown <= _NOTHING or (unknown <= self._tolerance and first - second > unknown):
            return None
        return self._tree.nodes[max(askable, key=askable.__getitem__)]

    def scores(self) -> Scores:
        """The distribution as known so far."""
        shares = dict(self._settled)
        for labels, mass in self._open.items():
            for label in labels:
                shares[label] += mass / len(labels)
        total = sum(shares.values())
        probabilities = {label: share / total for label, share in shares.items()}
        best = max(self._tree.labels, key=probabilities.__getitem__)
        coverage = 1.0 - self._missing - sum(self._open.values())
        return Scores(best, probabilities, min(1.0, max(0.0, coverage)))

    def _take(self, node: Node, step: ScoredToken) -> None:
        """A token that is not listed has at most the least probability that is, and all such share what the list leaves."""
        shown = {token: math.exp(value) for token, value in step.listed.items()}
        weights = {token: shown[token] for token in node.children if token in shown}
        unlisted = [token for token in node.children if token not in shown]
        if not weights:
            raise AnswerError("none of the labels' tokens is listed: the engine must list logprobs under its grammar")
        left = max(0.0, 1.0 - sum(shown.values()))
        bound = min(*shown.values(), left / len(unlisted)) if unlisted else 0.0
        weights |= dict.fromkeys(unlisted, bound)
        total = sum(weights.values())
        if total <= 0.0:
            raise AnswerError("the labels' tokens have no probability at all")
        self._shares[node.labels] = {token: weight / total for token, weight in weights.items()}
        self._loose[node.labels] = len(unlisted) * bound / total

    def _divide(self) -> None:
        """Follows the mass down to labels and to places not yet known."""
        self._settled = dict.fromkeys(self._tree.labels, 0.0)
        self._open, self._missing = {}, 0.0
        todo: list[tuple[Labels, float]] = [(self._tree.labels, 1.0)]
        while todo:
            labels, mass = todo.pop()
            if len(labels) == 1:
                self._settled[labels[0]] += mass
            elif labels not in self._shares:
                self._open[labels] = mass
            else:
                node = self._tree.nodes[labels]
                self._missing += mass * self._loose[labels]
                todo += [(node.children[token], mass * share) for token, share in self._shares[labels].items()]


def check_held(answer: ScoredAnswer, labels: Labels) -> None:
    """Raises AnswerError where the answer, cut or whole, begins no label."""
    text = answer.text.rstrip("\ufffd")
    if not any(label.startswith(text) for label in labels):
        raise AnswerError(
            f"the engine answered {text[:60]!r}, which is none of the labels: it must support structured_outputs.choice, "
            "and a model that thinks first must be told not to"
        )
