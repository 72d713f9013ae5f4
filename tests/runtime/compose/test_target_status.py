"""Targets in the status: their live time to a first token, the date of their price, and what is left of the budget."""

from __future__ import annotations

import time
from pathlib import Path

from runtime.cli.paint import PLAIN
from runtime.cli.report import report_lines
from runtime.compose.budget import beside_others, dollars_of
from runtime.compose.report import ProcessFacts, report, runs_on
from runtime.contract.prices import Price
from runtime.money.budget import ALL, BudgetLedger, SpendingLimits
from runtime.money.spent_file import SpentFile
from runtime.settings import EngineSettings, Escalation, Server, Settings
from runtime.settings.secret import Secret
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import Turn, cloud, engine_backend
from tests.runtime.server.test_sessions import streamed


async def test_a_target_shows_its_first_tokens_and_the_date_of_its_price(tmp_path: Path) -> None:
    """No time before the first answer, then the one that decisions use."""
    dated = Price(3.0, 15.0, source="a page", date="2026-10-01")
    setup = Setup(engine_backend(()), [cloud("one", Turn(streamed()), price=dated)], Escalation(queue_depth=0))
    facts = ProcessFacts(0.0, None, None, None, (), ())
    async with opened(setup, tmp_path) as door:
        (before,) = report(door.desk, Settings(), facts).targets
        assert (before.ttft_ms, before.price_source, before.price_date) == (None, "a page", "2026-10-01")
        assert (await door.chat("hello", stream=True)).status_code == 200
        shown = report(door.desk, Settings(), facts)
        seen = door.desk.fleet.ttft_s("one")
        assert seen is not None and shown.targets[0].ttft_ms == round(1000 * seen, 1)
        lines = "\n".join(report_lines(shown, PLAIN))
        assert f"first token within {1000 * seen:.0f} ms; price of 2026-10-01" in lines


async def test_the_budget_is_shown_with_what_an_answer_cost(tmp_path: Path) -> None:
    """The status reads the ledger itself: an answer's dollars are there as soon as it has ended."""
    setup = Setup(
        engine_backend(()), [cloud("one", Turn(streamed()), price=Price(1000.0, 1000.0))], Escalation(queue_depth=0)
    )
    facts = ProcessFacts(0.0, None, None, None, (), ())
    limits = {ALL: SpendingLimits(20.0), "one": SpendingLimits(10.0), "key:key_1": SpendingLimits(None, 2.0)}
    async with opened(setup, tmp_path) as door:
        assert report(door.desk, Settings(), facts).budget is None
        ledger = BudgetLedger(SpentFile(tmp_path / "budget.sqlite3"), limits, "UTC", time.time)
        door.desk.fleet.budget = ledger
        assert (await door.chat("hello", stream=True, max_tokens=20)).status_code == 200
        shown = report(door.desk, Settings(), facts).budget
    assert shown is not None and shown.when_spent == "local"
    day, month, target, key = shown.limits
    assert (day.limit_usd, day.reserved_usd, day.spent, month.limit_usd) == (20.0, 0.0, False, None)
    assert 0 < day.spent_usd == month.spent_usd == target.spent_usd and target.target == "one"
    assert (key.key, key.period, key.left_usd, key.target) == ("key_1", "month", 2.0, None)
    kinds = dollars_of(ledger)
    assert kinds["all", "day", "spent"] == day.spent_usd and kinds["one", "day", "left"] == target.left_usd
    assert kinds["all", "day", "total"] == day.spent_usd and beside_others(ledger) == ()
    assert ("all", "month", "limit") not in kinds and kinds["key:key_1", "month", "limit"] == 2.0


async def test_the_engines_log_is_shown_where_everybody_may_read_it(tmp_path: Path) -> None:
    """A key that may read the status may not read the log: its lines may hold prompts."""
    facts = ProcessFacts(0.0, None, None, None, (), ())
    local = engine_backend(())
    local.lanes[0].ready = False
    async with opened(Setup(local), tmp_path) as door:
        door.engine.lines = ["no GPU found"]
        assert report(door.desk, Settings(), facts).engine.log_tail == ("no GPU found",)
        kept = Settings(server=Server(keys=(Secret("env:KEY"),)))
        assert report(door.desk, kept, facts).engine.log_tail == ()


def test_what_an_engine_runs_on_is_said() -> None:
    """Never "auto": that is a setting, not a device."""
    assert runs_on(EngineSettings(), ()) == runs_on(EngineSettings(device="cpu"), ()) == "cpu"
    assert (runs_on(EngineSettings(), ["a GPU"]), runs_on(EngineSettings(url=("http://a/v1",)), ())) == (
        "cuda",
        "attached",
    )
