"""The quality loop, wired: golden sets, their runs, the detector, and the pages that show them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from runtime.dialects.openai_chat.dialect import ChatDialect
from runtime.life.desk import Desk
from runtime.notices import MODEL_DEMOTED, MODEL_PROMOTED, QUALITY_ALARM, QUALITY_WARNING
from runtime.quality.demotion_cost import demotion_cost
from runtime.quality.demotion_cost import words as cost_words
from runtime.quality.drift.watch import DriftWatch
from runtime.quality.golden.check_process import Grader
from runtime.quality.judge.estimate import Judges
from runtime.quality.judge.golden import GoldenJudge
from runtime.quality.judge.shown import week_view
from runtime.quality.judge.watch import JudgeFolders, JudgeWatch
from runtime.quality.recorded import recorded
from runtime.quality.runs.asking import Asker
from runtime.quality.runs.loop import QualityLoop
from runtime.quality.runs.runner import Runner
from runtime.quality.runs.store import QualityStore
from runtime.quality.runs.wallet import Wallet
from runtime.quality.sample.file import SampledAnswer
from runtime.quality.signal_watch import SignalWatch
from runtime.quality.values import QualityEvent, Stream
from runtime.record.metrics import JudgeGauges
from runtime.server.asgi import Page
from runtime.server.pages.quality import QualityPages
from runtime.server.routes import Route
from runtime.settings import Loaded, Settings

_TOLD = {"demoted": MODEL_DEMOTED, "promoted": MODEL_PROMOTED, "common_cause": QUALITY_ALARM}  # by the event's kind
_SPENDING_S = 7 * 86_400.0  # of traffic that the dollars of a demotion are estimated from
_log = logging.getLogger("hearth.quality")


class QualityRoom:
    """folder: of the state. sampled: reads the kept answers from a unix second on. give: takes a notice for the operator, by
    kind; events and warnings go there.
    """

    def __init__(
        self,
        desk: Desk,
        loaded: Loaded,
        folder: Path,
        give: Callable[[str, str], None],
        sampled: Callable[[float], Sequence[SampledAnswer]],
    ) -> None:
        wanted, beside = loaded.settings.quality, loaded.file.parent if loaded.file else Path.cwd()

        async def tell(event: QualityEvent) -> None:
            words, text = " on ".join(filter(None, (event.target, event.set))), event.words
            if event.kind == "demoted" and event.target == desk.fleet.local.target.label:
                text = f"{text}; {await self._spending(event)}"
            _log.warning("quality: %s: %s", words or event.kind, text)
            if event.kind in _TOLD:
                give(_TOLD[event.kind], f"{words}: {text}" if words else text)

        def warn(words: str) -> None:
            _log.warning("quality: %s", words)
            give(QUALITY_WARNING, words)

        self._desk, self.store = desk, QualityStore(folder)
        self.watch = DriftWatch(desk.fleet, wanted, tell)
        self.wallet = Wallet(folder, lambda: [each.target for each in desk.fleet.clouds.backends.values()])
        self.judge = JudgeWatch(desk, self.store, sampled, wanted, JudgeFolders(folder, beside), warn)
        self.golden_judge = GoldenJudge(desk, self.wallet, wanted.judge, lambda: self.judge.trusted)
        self.grader = Grader(self.golden_judge.judged)
        asker = Asker(desk, ChatDialect(wall=time.time), self.grader)
        self.loop = QualityLoop(
            desk, self.store, Runner(desk, self.store, asker, self.wallet), wanted, beside, self.watch
        )
        self.loop.before = lambda run: self.judge.check(run, self.golden_judge.decided)
        self.loop.warn = warn
        self.signals = SignalWatch(desk.store, folder, desk.wall, lambda found: warn(found.words))
        judges = Judges(desk, self.judge, self.golden_judge)
        self.pages: dict[Route, Page] = QualityPages(self.loop, self.wallet, judges, self.signals).table()
        self.wallet.limit(wanted.daily_usd, wanted.timezone)

    async def _spending(self, event: QualityEvent) -> str:
        """The dollars of a demotion of the local model: a clause of its notice."""
        if self.watch.settings.mode != "act":
            return f'nothing moves, because quality.mode is "{self.watch.settings.mode}"'
        now, budget = self._desk.wall(), self._desk.fleet.budget
        decisions = await recorded(self._desk.store, now - _SPENDING_S, now)
        task = self.watch.states[Stream(event.target, event.set)].task
        cost = await asyncio.to_thread(demotion_cost, decisions, event.target, task, now)
        return cost_words(cost, budget.standings() if budget is not None else ())

    def apply(self, settings: Settings) -> None:
        """Puts other settings in force."""
        self.loop.settings = self.watch.settings = self.judge.settings = settings.quality
        self.golden_judge.named = settings.quality.judge
        self.wallet.limit(settings.quality.daily_usd, settings.quality.timezone)
        self.watch.renew()

    def judge_gauges(self) -> JudgeGauges | None:
        """For the metrics: the judge's latest week."""
        if not self.judge.kept.weeks:
            return None
        week, evidence = week_view(self.judge.kept.weeks[0]), self.judge.kept.state.evidence
        bias, agreed = week.bias, week.agreement
        share, kappa = (None, None) if agreed is None else (agreed.share, agreed.kappa.value)
        return JudgeGauges(
            self.judge.trusted, evidence, week.outcomes, bias.flips, bias.failed, share, kappa, week.spent_usd
        )

    @property
    def troubles(self) -> tuple[str | None, ...]:
        return (
            self.judge.trouble,
            self.store.trouble,
            self.wallet.trouble,
            *(f"golden sets: {each}" for each in self.loop.faults),
        )

    def close(self) -> None:
        self.grader.close()
        self.store.close()
        self.wallet.close()
