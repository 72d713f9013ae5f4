"""The figures of the score, all by weights that were fitted without the prompts they are measured on, and the plot.

How rare words are is counted over all texts that are trained on, without labels; weights are fitted in folds. The head for
open requests is not fitted and is measured as shipped.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib import pyplot

from runtime.routing.facts.scores import score_of
from runtime.routing.facts.tasks import task_of
from scripts.score.data import MEASURED, UNSEEN_WRAPS, Prompt
from scripts.score.evaluate import above_line, agreement, apgr, curve, flipped, flips, interval
from scripts.score.fit import Data, Lexicon, fit, progress
from scripts.score.train import FOLDS, folds

SEEDS = (1, 2, 3, 4, 5)
SHUFFLES = 20
DEFAULT = 0.62
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
PADDINGS = ("unseen repeated", "unseen words")


class LeftOut:
    """Scores of prompts, and of copies of them, by weights fitted without them."""

    def __init__(
        self, data: Data, gain: np.ndarray, seed: int = 1, copies: Sequence[str] = (), count: int = FOLDS
    ) -> None:
        self.scores = np.zeros(len(data.prompts))
        self.copies = {name: np.full(len(data.prompts), np.nan) for name in copies}
        for rows, left_out in folds(data, seed, count):
            fitted = fit(data, rows, gain)
            self.scores[left_out] = fitted.scores(data.text.take(left_out))
            for name in copies:
                have, columns = data.copies(name)
                ours = np.isin(have, left_out)
                self.copies[name][have[ours]] = fitted.scores(columns.take(np.flatnonzero(ours)))


class Report:
    """Figures one after another, as the rows of a table."""

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        self.prompts = prompts
        trained = [prompt for prompt in prompts if prompt.source != MEASURED]
        self.data = Data(trained, Lexicon.of([prompt.text for prompt in trained]))
        self.gain = self.data.strong - self.data.weak
        self.rows: list[tuple[str, str]] = []
        progress("fitting in folds")
        self.left_out = LeftOut(self.data, self.gain, copies=(*UNSEEN_WRAPS, *PADDINGS))
        self.at = {source: np.flatnonzero(self.data.source == source) for source in ("mmlu", "gsm8k", "mtbench")}

    def of(self, source: str, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = self.at[source]
        return scores[rows], self.data.weak[rows], self.data.strong[rows]

    def add(self, name: str, value: str) -> None:
        progress(f"{name}: {value}")
        self.rows.append((name, value))

    def figures(self) -> list[tuple[str, str]]:
        """All of them, in the order of the report."""
        words = np.array([float(len(prompt.text.split())) for prompt in self.data.prompts])
        mmlu = self.of("mmlu", self.left_out.scores)
        self.add("MMLU, subjects left out", _with_interval(apgr, *mmlu))
        self.add("MMLU, number of words", _with_interval(apgr, *self.of("mmlu", words)))
        for name in UNSEEN_WRAPS:
            other = self.of("mmlu", self.left_out.copies[name])
            self.add(
                f"MMLU, options marked otherwise: {name}",
                f"{_with_interval(apgr, *other)}; rank agreement {agreement(mmlu[0], other[0]):.3f}",
            )
        self._padding()
        self._mixed()
        self._open_chat()
        self._gsm8k(words)
        again = [apgr(*self.of("mmlu", LeftOut(self.data, self.gain, seed).scores)) for seed in SEEDS]
        self.add("MMLU, mean and worst of five foldings", f"{np.mean(again):.3f}, {min(again):.3f}")
        self._shuffled()
        return self.rows

    def _gsm8k(self, words: np.ndarray) -> None:
        scores = [LeftOut(self.data, self.gain, seed, count=5).scores for seed in SEEDS]
        found = [apgr(*self.of("gsm8k", each)) for each in scores]
        low, high = interval(apgr, *self.of("gsm8k", np.mean([_ranks(each) for each in scores], axis=0)))
        self.add("GSM8K, 5 folds, mean of five seeds", f"{np.mean(found):.3f} [{low:.3f}, {high:.3f}]")
        self.add("GSM8K, number of words", _with_interval(apgr, *self.of("gsm8k", words)))
        others = fit(self.data, np.flatnonzero(self.data.source != "gsm8k"), self.gain)
        self.add("GSM8K, source left out", _with_interval(apgr, *self.of("gsm8k", others.scores(self.data.text))))
        without = np.flatnonzero(~np.isin(self.data.group, ["gsm8k", "agentverse-mgsm"]))
        others = fit(self.data, without, self.gain)
        self.add(
            "GSM8K, all word problems left out", _with_interval(apgr, *self.of("gsm8k", others.scores(self.data.text)))
        )

    def _open_chat(self) -> None:
        """As shipped: nothing of it was trained on."""
        of = [prompt for prompt in self.prompts if prompt.source == MEASURED]
        weak, strong = np.array([each.weak for each in of]), np.array([each.strong for each in of])
        scores = np.array([score_of(each.text, task_of([each.text])) for each in of])
        self.add("AlpacaEval, as shipped", _with_interval(apgr, scores, weak, strong))
        words = np.array([float(len(each.text.split())) for each in of])
        self.add("AlpacaEval, number of words", _with_interval(apgr, words, weak, strong))
        self.add("AlpacaEval, share that leaves at 0.62", f"{float(np.mean(scores >= DEFAULT)):.2f}")
        self.add("MT-Bench, prompts left out", _with_interval(apgr, *self.of("mtbench", self.left_out.scores)))

    def _shuffled(self) -> None:
        found = []
        for seed in range(1, SHUFFLES + 1):
            draw, gain = random.Random(seed), self.gain.copy()
            for source in sorted(set(self.data.source)):
                rows = np.flatnonzero(self.data.source == source)
                mixed = list(gain[rows])
                draw.shuffle(mixed)
                gain[rows] = mixed
            found.append(apgr(*self.of("mmlu", LeftOut(self.data, gain, seed).scores)))
        self.add(
            f"MMLU, fitted on shuffled labels, mean of {SHUFFLES}",
            f"{np.mean(found):.3f} ({min(found):.3f} to {max(found):.3f})",
        )

    def _padding(self) -> None:
        threshold = float(np.quantile(self.left_out.scores, DEFAULT))
        for source in ("mmlu", "gsm8k"):
            before = self.of(source, self.left_out.scores)[0]
            for name in PADDINGS:
                after = self.of(source, self.left_out.copies[name])[0]
                worst = max(flips(before, after), flipped(before, after, threshold))
                self.add(f"{source.upper()}, decisions flipped, {name.removeprefix('unseen ')}", f"{worst:.3f}")

    def _mixed(self) -> None:
        for source in ("mmlu", "gsm8k"):
            of = self.of(source, self.left_out.scores)
            for share in SHARES:
                above = _with_interval(partial(above_line, share=share), *of, digits=2)
                self.add(f"{source.upper()}, points above the line at {share:.0%} leaving", above)
            shares, quality = curve(*of)
            for part in (0.5, 0.8, 0.95):
                wanted = of[1].mean() + part * (of[2].mean() - of[1].mean())
                self.add(
                    f"{source.upper()}, share that must leave for {part:.0%} of the gap",
                    f"{float(shares[np.argmax(quality >= wanted)]):.0%}",
                )

    def plot(self, path: Path) -> None:
        """Quality over the share that leaves, beside the straight line and a router that knows the answers."""
        figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), dpi=80)
        for axis, source in zip(axes, ("mmlu", "gsm8k"), strict=True):
            scores, weak, strong = self.of(source, self.left_out.scores)
            shares, quality = curve(scores, weak, strong)
            axis.plot(100 * shares, 100 * quality, label="score")
            axis.plot([0, 100], [100 * weak.mean(), 100 * strong.mean()], ":", color="grey", label="at random")
            oracle_shares, oracle = curve(strong - weak, weak, strong)
            axis.plot(100 * oracle_shares, 100 * oracle, "--", linewidth=0.8, label="knowing the answers")
            axis.set(title=source.upper(), xlabel="% that leaves the box", ylabel="% right")
            axis.legend(fontsize=8)
        figure.tight_layout()
        figure.savefig(path, metadata={"Software": None})


def _with_interval(
    figure: Callable[[np.ndarray, np.ndarray, np.ndarray], float],
    scores: np.ndarray,
    weak: np.ndarray,
    strong: np.ndarray,
    *,
    digits: int = 3,
) -> str:
    low, high = interval(figure, scores, weak, strong)
    return f"{figure(scores, weak, strong):.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(float)


def markdown(rows: Sequence[tuple[str, str]]) -> str:
    """The rows as a table."""
    return "\n".join(
        ["| figure | value, 95 % interval |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows), ""]
    )
