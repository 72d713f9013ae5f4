"""A decoder small enough to know its whole distribution: pieces with made-up logits, held to labels as vLLM does it.

Tokens are ids; a text is cut greedily into the longest pieces, with the end of the answer behind it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from local_models.classification.answer import ScoredAnswer, ScoredToken, Spelling
from local_models.classification.tree import SENTINELS, LabelTree, cuts_from

MOST = 20
BEFORE, BEHIND = (901, 902, 903), (904,)  # what a chat template puts around an answer, besides the end


@dataclass(frozen=True)
class ToyEngine:
    """pieces: its vocabulary, by id; the end is one more. masked: lists shares of allowed tokens, as vLLM 0.32 does."""

    pieces: tuple[str, ...]
    seed: int
    spread: float = 2.0
    masked: bool = True

    @property
    def end(self) -> int:
        return len(self.pieces)

    def cut(self, text: str) -> tuple[int, ...]:
        found: list[int] = []
        while text:
            piece = max((p for p in self.pieces if text.startswith(p)), key=len)
            found.append(self.pieces.index(piece))
            text = text[len(piece) :]
        return tuple(found)

    def spelling(self, text: str) -> Spelling:
        """Of the prompt that ends in this answer; a text it has no pieces for is one unknown token."""
        known = all(any(character in piece for piece in self.pieces) for character in text)
        ids = self.cut(text) if known else (1000 + ord(text[0]),)
        texts = [self.pieces[token] for token in ids] if known else [text]
        around = ("", "", "\n"), ("<end>", "\n")
        return Spelling((*BEFORE, *ids, self.end, *BEHIND), (*around[0], *texts, *around[1]), "toy")

    def tree(self, labels: Sequence[str]) -> LabelTree:
        return LabelTree(cuts_from({text: self.spelling(text) for text in (*SENTINELS, *labels)}, labels))

    def answer(self, labels: Sequence[str], ids: Sequence[int], room: int) -> ScoredAnswer:
        """Greedy, over every spelling of the labels; lists the probabilities of `ids`."""
        path: tuple[int, ...] = ()
        steps: list[ScoredToken] = []
        while len(steps) < room and self.end not in path:
            allowed = self._allowed(path, labels)
            shares = self._shares(path, allowed if self.masked else range(self.end + 1))
            taken = max(allowed, key=shares.__getitem__)
            steps.append(ScoredToken(taken, self._listed(taken, shares, ids)))
            path = (*path, taken)
        return ScoredAnswer(self._text(path), tuple(steps), "toy")

    def below(self, begun: str, labels: Sequence[str], ids: Sequence[int]) -> ScoredAnswer:
        """One step behind a begun answer, held to what is left of the labels."""
        path = self.cut(begun)
        allowed = self._allowed(path, labels)
        shares = self._shares(path, allowed if self.masked else range(self.end + 1))
        taken = max(allowed, key=shares.__getitem__)
        return ScoredAnswer(self._text((taken,)), (ScoredToken(taken, self._listed(taken, shares, ids)),), "toy")

    def distribution(self, labels: Sequence[str]) -> dict[str, float]:
        """By the definition: at every token of a label its share among those that lead to a label there."""
        paths = {label: (*self.cut(label), self.end) for label in labels}
        found = dict.fromkeys(labels, 1.0)
        for label, path in paths.items():
            for depth, token in enumerate(path):
                following = {p[depth] for p in paths.values() if p[:depth] == path[:depth]}
                found[label] *= self._shares(path[:depth], following)[token]
        return found

    def _listed(self, taken: int, shares: dict[int, float], ids: Sequence[int]) -> dict[int, float]:
        top = sorted(shares, key=shares.__getitem__, reverse=True)[:MOST]
        return {token: math.log(shares[token]) for token in (taken, *(ids or top)) if token in shares}

    def _text(self, path: Iterable[int]) -> str:
        return "".join(self.pieces[token] for token in path if token != self.end)

    def _allowed(self, path: tuple[int, ...], labels: Sequence[str]) -> list[int]:
        text = self._text(path)
        fitting = [n for n, p in enumerate(self.pieces) if any(label.startswith(text + p) for label in labels)]
        return [*fitting, self.end] if text in labels else fitting

    def _shares(self, path: tuple[int, ...], tokens: Iterable[int]) -> dict[int, float]:
        weights = {
            token: math.exp(random.Random(f"{self.seed}{path}{token}").gauss(0, self.spread)) for token in tokens
        }
        total = sum(weights.values())
        return {token: weight / total for token, weight in weights.items()}
