"""A target in the status: its live time to a first token, and the date of its price."""

from __future__ import annotations

from pathlib import Path

from runtime.cli.paint import PLAIN
from runtime.cli.report import report_lines
from runtime.compose.report import ProcessFacts, report
from runtime.contract.prices import Price
from runtime.settings import Escalation, Settings
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
