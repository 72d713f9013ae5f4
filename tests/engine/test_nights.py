"""Golden sets night by night on real vLLM: a healthy model stays, one that is made worse for real is demoted, and is let back.

The nights pass on a clock of the test's. Every answer is the engine's own, to cases of the set that ships for its model.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from local_models.wire.hop import EngineHop
from runtime.contract.hop import HttpCall, Reply
from runtime.contract.targets import Timeouts
from runtime.quality.golden.shipped import shipped_sets
from runtime.quality.runs.database import QualityDatabase
from runtime.quality.values import CaseKey, CaseResult, Grade
from tests.engine.serving import Serving
from tests.fakes.nights import Nights
from tests.fakes.upstream import ScriptedHop, Turn, cloud, engine_backend, told

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1800)]

HOT = 1.8
SLOW = Timeouts(connect=5.0, first_token=120.0, idle=60.0, total=300.0)
HEALTHY = 5  # nights
KEPT = re.compile(r'id = "(?:mood|sum|city|order)-|id = "fact-[1-4]"|id = "person-[1-5]"')
DROP = 0.15  # at least, or the decline would be no test


class WorseningHop:
    """The engine; while `worse`, each answer is drawn at a high temperature, behind the same name."""

    def __init__(self, hop: EngineHop) -> None:
        self.worse, self._hop = False, hop

    async def open(self, call: HttpCall, *, connect_s: float) -> Reply:
        if self.worse:
            call = replace(call, body=json.dumps({**json.loads(call.body), "temperature": HOT}).encode())
        return await self._hop.open(call, connect_s=connect_s)

    async def aclose(self) -> None:
        await self._hop.aclose()


def short(shipped: str) -> str:
    """The forty cases of the shipped set with the shortest answers: fewer make advice and no demotion.

    They name no cluster here: as six clusters they would take three times as many answers for a return.
    """
    head, *cases = shipped.split("[[case]]")
    kept = [re.sub(r'cluster = ".*"\n', "", case) for case in cases if KEPT.search(case)]
    assert len(kept) == 40
    return "[[case]]".join([head, *kept])


async def asked(nights: Nights, repeats: int = 1, *, counts: bool = False) -> dict[CaseKey, CaseResult]:
    """One run of the local model, now."""
    goldens = await nights.loop.read()
    targets = nights.loop.targets(["local"])
    run = await nights.loop.begin("demand", targets, goldens, repeats=repeats, counts=counts)
    await nights.loop.turn(by_itself=False)
    await nights.loop.settled()
    rows = await nights.store.call(lambda database: database.results(run.id))
    return {row.key: row for row in rows}


def rate(rows: dict[CaseKey, CaseResult]) -> float:
    assert all(row.grade is not Grade.NO_VERDICT for row in rows.values()), [row.words for row in rows.values()]
    return sum(row.grade is Grade.PASS for row in rows.values()) / len(rows)


async def test_nights_of_a_real_model(serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five good nights; then a real decline of 15 points or more, demoted within four nights; repaired, back within five."""
    engine = EngineHop(socket_path=Path(serving.replica["address"]), clock=time.monotonic)
    models, hop = json.loads((await engine.probe("/v1/models", 30.0))[1]), WorseningHop(engine)
    backend = engine_backend((Turn(),), timeouts=SLOW)
    backend.lanes[0].hop, backend.lanes[0].model = cast("ScriptedHop", hop), models["data"][0]["id"]
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden" / "built-in.toml").write_text(short(shipped_sets()["smollm2-135m"]))
    nights = Nights(tmp_path, backend, [cloud("other", Turn(told("fine")))], timed=True)
    local, began = backend.target.label, time.monotonic()

    # (1) The reference, and five nights.
    usual = await asked(nights, 5, counts=True)
    await nights.nights(HEALTHY, hours=1)
    assert [each.kind for each in nights.events] == ["reference"]
    assert not any(nights.demoted.values())
    assert (await nights.traffic("Good morning!"))[0] == local

    # (2) Worse for real: measured first, then demoted, and its traffic leaves.
    hop.worse = True
    drop = rate(usual) - rate(await asked(nights))
    assert drop >= DROP
    night = HEALTHY
    while not nights.watch.demoted:
        assert night < HEALTHY + 4
        await nights.nights(night + 1, night, hours=1)
        night += 1
    demoted_after = night - HEALTHY
    hop.worse = False
    assert (await nights.traffic("Good morning!"))[:2] == ("vendor/other-model", "quality")

    # (3) Repaired, and back.
    repaired = night
    while nights.watch.demoted:
        assert night < repaired + 5
        await nights.nights(night + 1, night, hours=1)
        night += 1
    assert (await nights.traffic("Good morning!"))[0] == local
    assert [each.kind for each in nights.events] == ["reference", "demoted", "promoted"]

    # (4) One answer at a time, beside the last night's answers, which ran together.
    monkeypatch.setattr("runtime.quality.runs.runner.AT_A_TIME", 1)
    alone = await asked(nights)
    together = await nights.store.call(lambda database: database.results(database.runs()[1].id))
    texts = sum(row.answer != alone[row.key].answer for row in together)
    grades = sum(row.grade is not alone[row.key].grade for row in together)
    assert grades <= DROP * len(together)
    print(
        f"{len(usual) // 5} cases, {rate(usual):.1%} passed; at temperature {HOT} {drop:.0%} fewer; demoted after "
        f"{demoted_after} nights, back after {night - repaired}; alone or together {texts} answers and {grades} grades "
        f"of {len(together)} differ; {time.monotonic() - began:.0f} s"
    )
    assert len(await nights.store.call(QualityDatabase.runs)) == 3 + HEALTHY + night - HEALTHY
    await hop.aclose()
    nights.close()
