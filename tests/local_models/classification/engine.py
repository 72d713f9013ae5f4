"""A decoder small enough to know its whole distribution: pieces with made-up logits, held to labels as vLLM does it.

Its answers have vLLM's shape; its distribution over labels is computed by walking every path.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from local_models.classification.answer import Answer, Step, Token

END = "<end>"


@dataclass(frozen=True)
class ToyEngine:
    """pieces: its vocabulary. spread: how far logits lie apart. masked: lists allowed tokens only, as vLLM 0.32 does."""

    pieces: tuple[str, ...]
    seed: int
    spread: float = 2.0
    masked: bool = True
    most: int = 20

    def answer(self, labels: Sequence[str], room: int = 1000) -> Answer:
        path: tuple[str, ...] = ()
        steps: list[Step] = []
        while len(steps) < room and (not path or path[-1] != END):
            steps.append(self._step(path, labels))
            path = (*path, steps[-1].taken.text)
        text = "".join(piece for piece in path if piece != END)
        return Answer(text, tuple(steps), path[-1] == END, "toy")

    def distribution(self, labels: Sequence[str]) -> dict[str, float]:
        """Every label's probability under sampling, over all ways to cut it."""
        found = dict.fromkeys(labels, 0.0)
        open_paths: list[tuple[tuple[str, ...], float]] = [((), 1.0)]
        while open_paths:
            path, mass = open_paths.pop()
            for piece, share in self._shares(path, self._allowed(path, labels)).items():
                if piece == END:
                    found["".join(path)] += mass * share
                else:
                    open_paths.append(((*path, piece), mass * share))
        return found

    def _step(self, path: tuple[str, ...], labels: Sequence[str]) -> Step:
        allowed = self._allowed(path, labels)
        listed = self._shares(path, allowed if self.masked else (*self.pieces, END))
        taken = max(allowed, key=listed.__getitem__)
        top = sorted(listed, key=listed.__getitem__, reverse=True)[: self.most]
        tokens = [Token(piece, math.log(listed[piece])) for piece in top if piece != taken]
        return Step(Token(taken, math.log(listed[taken])), tuple(tokens))

    def _allowed(self, path: tuple[str, ...], labels: Sequence[str]) -> tuple[str, ...]:
        text = "".join(path)
        pieces = tuple(p for p in self.pieces if any(label.startswith(text + p) for label in labels))
        return (*pieces, END) if text in labels else pieces

    def _shares(self, path: tuple[str, ...], pieces: Iterable[str]) -> dict[str, float]:
        weights = {piece: math.exp(self._logit(path, piece)) for piece in pieces}
        total = sum(weights.values())
        return {piece: weight / total for piece, weight in weights.items()}

    def _logit(self, path: tuple[str, ...], piece: str) -> float:
        """Fixed by seed, path and piece. Longer pieces are likelier, as a trained tokenizer makes them."""
        return random.Random(f"{self.seed}{path}{piece}").gauss(0.0, self.spread) + 1.5 * len(piece)
