"""Runs over golden sets: asked once, graded, waited for, paid for, resumed, and begun by themselves."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from runtime.contract.engine import ReplicaState
from runtime.contract.models import ModelState
from runtime.contract.prices import Price
from runtime.contract.targets import Capabilities
from runtime.fleet.models import LocalModelTarget
from runtime.quality.golden.sets import read_sets
from runtime.quality.runs.asking import Asker
from runtime.quality.runs.database import QualityDatabase
from runtime.quality.runs.loop import NoWatch, Pace, QualityLoop
from runtime.quality.runs.night import last_due, next_due
from runtime.quality.runs.runner import Runner
from runtime.quality.runs.store import QualityStore
from runtime.quality.runs.wallet import Wallet
from runtime.quality.sample.sample import Sample
from runtime.quality.values import CaseResult, Cause, EvalRun, Folded, GoldenSet, Grade, QualityEvent, Stream
from runtime.routing.plan import names
from runtime.settings.sections.quality import Quality, SampleSettings
from tests.fakes.box import CHAT, Box
from tests.fakes.grading import DirectGrader
from tests.fakes.models import FakeModels
from tests.fakes.upstream import HANG, FakeBackend, Turn, cloud, engine_backend, error, told, whole
from tests.fakes.wires import MESSAGES

NIGHT = 1_795_919_400.0  # 2026-11-29 02:30 UTC
SETS = """
name = "facts"
{more}
[defaults]
max_tokens = 20
checks = [{{ finish = "stop" }}]
"""
FREE = Price(0.0, 0.0)


def golden(folder: Path, cases: int = 4, more: str = "", name: str = "facts") -> None:
    (folder / "golden").mkdir(exist_ok=True)
    text = SETS.format(more=more).replace("facts", name)
    for number in range(cases):
        text += f'[[case]]\nid = "c{number}"\nprompt = "question {number}"\nchecks = [{{ contains = "fine" }}]\n'
    (folder / "golden" / f"{name}.toml").write_text(text)


class Counting(NoWatch):
    """A watch that counts closed runs by stream. again: what it wants to see again."""

    def __init__(self) -> None:
        self.wanted: frozenset[str] = frozenset()
        self.shown: list[Mapping[Stream, bytes]] = []

    def fold(self, run: EvalRun, results: Sequence[CaseResult], states: Mapping[Stream, bytes]) -> Folded:
        streams = {each.key.stream for each in results}
        return Folded(
            {each: str(int(states.get(each, b"0")) + 1).encode() for each in streams},
            [QualityEvent("closed", "", run=run.id)],
        )

    def again(self, states: Mapping[Stream, bytes]) -> frozenset[str]:
        return self.wanted

    async def in_force(self, states: Mapping[Stream, bytes], folded: Folded) -> None:
        self.shown.append(states)


class Lab:
    """A loop over fake upstreams, on a clock that a test sets. slept: waits of the runner."""

    def __init__(
        self, folder: Path, clouds: Sequence[FakeBackend] = (), *, local: Sequence[Turn] = (), usd: float = 2.0
    ) -> None:
        self.now, self.slept, self.folder = NIGHT + 60, list[float](), folder
        self.box = Box(engine_backend((Turn([whole("fine")]),)), clouds, wall=lambda: self.now)
        self.store, self.watch = QualityStore(folder), Counting()
        self.wallet = Wallet(folder, lambda: [each.target for each in clouds], lambda: self.now)
        self.wallet.limit(usd, "UTC")
        self.grader = DirectGrader()
        runner = Runner(
            self.box.desk, self.store, Asker(self.box.desk, CHAT, self.grader), self.wallet, sleep=self.sleep
        )
        self.loop = QualityLoop(
            self.box.desk, self.store, runner, Quality(), folder, self.watch, Pace(0.01, 600, 0, 3600, 0)
        )

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    async def turns(self) -> list[EvalRun]:
        """Everything that is due now, to its end. The runs there are, oldest first."""
        await self.loop.turn()
        await self.loop.settled()
        return await self.runs()

    async def runs(self) -> list[EvalRun]:
        return (await self.store.call(QualityDatabase.runs))[::-1]

    async def results(self, run: EvalRun) -> list[CaseResult]:
        return await self.store.call(lambda database: database.results(run.id))

    def close(self) -> None:
        self.store.close()
        self.wallet.close()
        self.grader.close()


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    golden(tmp_path)
    made = Lab(tmp_path, [cloud("good", Turn(told("fine"))), cloud("bad", Turn(told("wrong")))])
    yield made
    made.close()


async def test_a_night_asks_every_target_and_closes(lab: Lab) -> None:
    """Each case is asked of each target once, pinned and of the batch priority; state follows; the next turn asks nothing."""
    (run,) = await lab.turns()
    assert (run.kind, run.night, run.targets) == (
        "nightly",
        "2026-11-29",
        ("local/small", "vendor/good-model", "vendor/bad-model"),
    )
    results = await lab.results(run)
    grades = {target: {each.grade for each in results if each.key.target == target} for target in run.targets}
    assert grades == dict(zip(run.targets, ({Grade.PASS}, {Grade.PASS}, {Grade.WRONG}), strict=True))
    assert lab.box.calls == [4, 4, 4]
    assert await lab.turns() == [run]
    assert lab.box.calls == [4, 4, 4]
    assert lab.watch.shown[-1] == {Stream(target, "facts"): b"1" for target in run.targets}
    (first, *_) = results
    assert first.words.startswith("'fine'") or first.answer
    assert first.measures.latency_ms is not None


async def test_golden_requests_are_in_no_metric(lab: Lab) -> None:
    """They have a decision record of their own origin, and neither metrics, the latest decisions nor the sample has them."""
    lab.box.desk.sample = sample = Sample(lab.folder, SampleSettings(keep=True, share=1.0), lambda: lab.now)
    await lab.turns()
    await asyncio.to_thread(sample.close)
    assert sample.rows() == []
    assert {(each.origin, each.reason, each.caller) for each in lab.box.records.rows} == {
        ("quality", "pinned", "quality")
    }
    assert len(lab.box.records.rows) == 12
    assert list(lab.box.desk.latest) == []
    assert "hearth_requests_total{" not in lab.box.desk.metrics.render()[1].decode()


def with_model(box: Box, name: str, state: ModelState, load: str, refused: str = "") -> FakeBackend:
    """A local model beside the engine's own, which answers if its state is `ready`."""
    backend = engine_backend((Turn([whole("fine")]),))
    backend.target = replace(backend.target, name=f"local/{name}", model=name)
    backend.lanes[0].name, backend.lanes[0].ready = f"models.{name}", state is ModelState.READY
    house = FakeModels(name)
    house.known[name] = replace(house.known[name], state=state, load=load)
    house.reasons[name] = refused
    box.fleet.models = {**box.fleet.models, f"local/{name}": LocalModelTarget(name, box.engine, backend, house)}
    models = [(name, each.backend.target) for name, each in box.fleet.models.items()]
    policy = box.desk.planner.policy
    clouds = [each.target for each in box.clouds]
    directory = names.build(box.local.target, clouds, {}, models=models)
    box.desk.planner.policy = replace(policy, directory=directory)
    return backend


async def test_a_night_asks_every_local_model(lab: Lab) -> None:
    """Each under its own name; a model that only a command loads is left out while it is not loaded."""
    small = with_model(lab.box, "labels", ModelState.READY, "always")
    with_model(lab.box, "spare", ModelState.ABSENT, "manual", "spare is loaded by command only")
    (run,) = await lab.turns()
    assert run.targets == ("local/small", "local/labels", "vendor/good-model", "vendor/bad-model")
    assert len(small.lanes[0].hop.calls) == 4
    grades = {each.grade for each in await lab.results(run) if each.key.target == "local/labels"}
    assert grades == {Grade.PASS}
    assert [each.label for each in lab.loop.targets(["labels"])] == ["local/labels"]


async def test_a_night_waits_for_a_model_that_loads(lab: Lab) -> None:
    """One that is always loaded; its state decides, and not how long it takes."""
    with_model(lab.box, "labels", ModelState.LOADING, "always")
    assert await lab.turns() == []
    with_model(lab.box, "labels", ModelState.READY, "always")
    assert len(await lab.turns()) == 1


async def test_a_missed_week_runs_one_night(lab: Lab) -> None:
    """However many nights were missed, one is run, and the next at its time."""
    await lab.turns()
    lab.now += 7 * 86_400 + 3600
    assert [each.night for each in await lab.turns()] == ["2026-11-29", "2026-12-06"]
    assert lab.box.calls == [8, 8, 8]  # no answer is kept for the next night
    lab.now += 86_400 - 7200
    assert len(await lab.turns()) == 2
    lab.now += 7200
    assert [each.night for each in await lab.turns()][2:] == ["2026-12-07"]


async def test_a_suspicious_target_is_seen_again_twice_an_hour_apart(lab: Lab) -> None:
    """Further runs of a night are of that target alone, and no more than two."""
    await lab.turns()
    lab.watch.wanted = frozenset({"vendor/bad-model"})
    kinds = []
    for _ in range(10):
        lab.now += 1801
        kinds = [(each.kind, each.targets) for each in await lab.turns()][1:]
    assert kinds == [("extra", ("vendor/bad-model",))] * 2


async def test_a_new_target_is_asked_after_a_quiet_time(lab: Lab) -> None:
    """It waits until nothing changed for ten minutes; the others are not asked again."""
    await lab.turns()
    new = cloud("new", Turn(told("fine")))
    lab.box.reload([*lab.box.clouds, new])
    assert len(await lab.turns()) == 1
    lab.now += 601
    runs = await lab.turns()
    assert [(each.kind, each.targets) for each in runs[1:]] == [("arrival", ("vendor/new-model",))]
    lab.now += 601
    assert len(await lab.turns()) == 2


async def test_another_fingerprint_is_asked_again_and_not_for_ever(tmp_path: Path) -> None:
    """A model that names another version of itself gets a further run; one that always does so gets two in a night."""
    golden(tmp_path, 2, 'targets = ["named"]')

    def named(model: str) -> Turn:
        return Turn([whole("fine").replace(b'{"choices"', f'{{"model": "{model}", "choices"'.encode())])

    lab = Lab(tmp_path, [cloud("named", *[named(name) for name in "aabbbbcc"], *[named(str(n)) for n in range(90)])])
    await lab.turns()
    lab.now += 86_400
    assert len(await lab.turns()) == 2
    kinds = []
    for _ in range(12):
        lab.now += 3601
        await lab.loop.turn()
        kinds = [each.kind for each in await lab.turns()][2:]
    assert kinds[:1] == ["arrival"]
    assert len(kinds) <= 2
    lab.close()


async def test_a_night_waits_for_an_engine_that_starts(lab: Lab) -> None:
    """Begun before, it would have no verdict on the engine; with one that was given up the clouds are asked."""
    lab.box.local.lanes[0].ready = False
    lab.box.engine.down = ReplicaState.STARTING
    assert await lab.turns() == []
    lab.box.engine.down = ReplicaState.GIVEN_UP
    (run,) = await lab.turns()
    grades = {each.key.target: each.grade for each in await lab.results(run)}
    assert grades["local/small"] is Grade.NO_VERDICT
    assert grades["vendor/good-model"] is Grade.PASS


async def test_mode_off_runs_nothing_by_itself(lab: Lab) -> None:
    """A person may still ask."""
    lab.loop.settings = Quality(mode="off")
    assert await lab.turns() == []
    await lab.loop.begin("demand", lab.loop.targets(["good"]), await lab.loop.read())
    (run,) = await lab.turns()
    assert (run.kind, run.targets, lab.box.calls) == ("demand", ("vendor/good-model",), [0, 4, 0])


async def test_busy_is_waited_out_and_then_no_verdict(tmp_path: Path) -> None:
    """A Retry-After is waited for; once a target's patience is gone, its cases have no verdict."""
    golden(tmp_path, 3)
    lab = Lab(
        tmp_path,
        [
            cloud("short", *[error(429, retry_after="7")] * 2, Turn(told("fine"))),
            cloud("long", error(429, retry_after="55")),
        ],
    )
    (run,) = await lab.turns()
    by_target: dict[str, set[Any]] = {}
    for each in await lab.results(run):
        by_target.setdefault(each.key.target, set()).add((each.grade, each.cause))
    assert by_target["vendor/short-model"] == {(Grade.PASS, None)}
    assert by_target["vendor/long-model"] == {(Grade.NO_VERDICT, Cause.BUSY)}
    assert lab.slept.count(55.0) == 900 // (55 / 4)
    lab.close()


@pytest.mark.parametrize(
    ("turn", "grade", "cause"),
    [
        (error(400, "bad member"), Grade.REJECTED, None),
        (error(400, "blocked", "content_filter"), Grade.REFUSED, None),
        (error(500), Grade.NO_VERDICT, Cause.DOWN),
        (error(401, "no key"), Grade.NO_VERDICT, Cause.DOWN),
        (Turn([HANG]), Grade.NO_VERDICT, Cause.TIMEOUT),
        (Turn([*told("fine")[:3]]), Grade.NO_VERDICT, Cause.DOWN),
        (Turn(told("")), Grade.WRONG, None),
    ],
    ids=["rejected", "filtered", "down", "denied", "silent", "cut", "empty"],
)
async def test_errors_are_no_wrong_answers(tmp_path: Path, turn: Turn, grade: Grade, cause: Cause | None) -> None:
    """An upstream's verdict on the request is a grade; that it is slow, away or broken is none."""
    golden(tmp_path, 1, 'targets = ["it"]')
    lab = Lab(tmp_path, [cloud("it", turn)])
    (run,) = await lab.turns()
    (result,) = await lab.results(run)
    assert (result.grade, result.cause) == (grade, cause)
    lab.close()


async def test_the_budget_stops_the_rest(tmp_path: Path) -> None:
    """The dollars of a day are not passed by more than a call; what they stop has no verdict; another day has its own."""
    golden(tmp_path, 30, 'targets = ["dear"]')
    # 7 tokens in and 2 out of each answer, at $1,000 a million.
    lab = Lab(tmp_path, [cloud("dear", Turn(told("fine")), price=Price(1000.0, 1000.0))], usd=0.2)
    (run,) = await lab.turns()
    results = await lab.results(run)
    stopped = [each for each in results if each.cause is Cause.BUDGET]
    spent = sum(each.measures.cost_usd or 0.0 for each in results)
    assert 0 < len(stopped) < 30
    assert 0.1 < spent <= 0.2
    assert lab.wallet.spent_usd == pytest.approx(spent, abs=1e-6)
    lab.now += 86_400
    await lab.turns()
    assert lab.wallet.spent_usd > 0
    lab.close()


async def test_what_is_asked_again_is_paid_twice(tmp_path: Path) -> None:
    """A repair is a call of its own: both are in the day's dollars, and in the result's."""
    golden(tmp_path, 1, 'targets = ["dear"]')
    file = tmp_path / "golden" / "facts.toml"
    await asyncio.to_thread(file.write_text, f'{file.read_text()}response_format = {{ type = "json_object" }}\n')
    turns, can = [MESSAGES.told(each) for each in ("no JSON", '{"a": "fine"}')], Capabilities(structured_output=False)
    lab = Lab(tmp_path, [MESSAGES.target("dear", *turns, price=Price(1000.0, 1000.0), capabilities=can)])
    (run,) = await lab.turns()
    (result,) = await lab.results(run)
    assert result.grade is Grade.PASS
    assert result.measures.cost_usd == pytest.approx(0.018)
    assert lab.wallet.spent_usd == pytest.approx(0.018)
    lab.close()


async def test_a_set_that_requires_goes_to_certified_targets_alone(tmp_path: Path) -> None:
    """The box itself and a certified account are asked, another is not, whatever the set names."""
    golden(tmp_path, 1, 'requires = ["hipaa"]')
    certified = cloud("safe", Turn(told("fine")), certified=frozenset({"hipaa"}))
    lab = Lab(tmp_path, [certified, cloud("other", Turn(told("fine")))])
    (run,) = await lab.turns()
    assert run.targets == ("local/small", "vendor/safe-model")
    assert lab.box.calls == [1, 1, 0]
    lab.close()


async def test_a_killed_run_is_resumed_and_asks_nothing_twice(tmp_path: Path) -> None:
    """At whatever answer the process dies, the next one asks for what is not stored; the state is an undisturbed run's."""
    for stop in (0, 5, 12):
        folder = tmp_path / str(stop)
        folder.mkdir()
        golden(folder)
        answers = 0

        async def settle_and_die(work: Any, *, lab: Lab, stop: int = stop) -> Any:
            nonlocal answers
            if "settle" in work.__code__.co_names:
                answers += 1
                if answers > stop:
                    raise KeyError("killed")
            return await QualityStore.call(lab.store, work)

        first = Lab(folder, [cloud("good", Turn(told("fine"))), cloud("bad", Turn(told("wrong")))])
        first.store.call = lambda work, lab=first: settle_and_die(work, lab=lab)  # type: ignore[method-assign,misc]
        await first.loop.turn()
        await asyncio.gather(*first.loop._running.values(), return_exceptions=True)
        first.close()
        database = QualityDatabase(folder)
        stored = sum(database.counted(each.id)[0] for each in database.runs())
        database.close()
        assert stored <= stop
        second = Lab(folder, [cloud("good", Turn(told("fine"))), cloud("bad", Turn(told("wrong")))])
        (run,) = await second.turns()
        results = await second.results(run)
        assert len({each.key for each in results}) == len(results) == 12
        assert sum(second.box.calls) == 12 - stored
        states = await second.store.call(QualityDatabase.states)
        assert states == {Stream(target, "facts"): b"1" for target in run.targets}
        second.close()


async def test_a_cancelled_run_is_closed_with_what_it_has(lab: Lab) -> None:
    """Nothing more is asked, and it is not resumed."""
    run = await lab.loop.begin("demand", lab.loop.targets(), await lab.loop.read(), counts=False)
    lab.loop.cancel(run.id)
    await lab.loop.turn(by_itself=False)
    await lab.loop.settled()
    (closed,) = await lab.runs()
    assert (closed.cancelled, closed.closed_at is not None, sum(lab.box.calls)) == (True, True, 0)
    assert lab.watch.shown == [{}]


async def test_faults_of_files_are_shown_and_nothing_runs(tmp_path: Path) -> None:
    """A set that cannot be read stops the runs until it is mended; the operator hears of it once, and the words are at hand."""
    golden(tmp_path)
    (tmp_path / "golden" / "bad.toml").write_text("[[case]]\n")
    lab, heard = Lab(tmp_path), list[str]()
    lab.loop.warn = heard.append
    assert await lab.turns() == []
    assert await lab.turns() == []
    (words,) = heard
    assert words.startswith("no night runs, because the golden sets cannot be used: ") and "bad.toml, line 1" in words
    assert "it needs one of prompt" in lab.loop.faults[0]
    (tmp_path / "golden" / "bad.toml").unlink()
    assert len(await lab.turns()) == 1
    assert lab.loop.faults == ()
    lab.close()


async def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A schema that is written just after its set was found faulty."""
    golden(tmp_path)
    file, schema = tmp_path / "golden" / "facts.toml", tmp_path / "golden" / "s.json"
    file.write_text(file.read_text() + '[[case]]\nid = "s"\nprompt = "x"\nchecks = [{ json = "s.json" }]\n')
    lab = Lab(tmp_path)

    def slowly(*given: Any) -> list[GoldenSet]:
        try:
            return read_sets(*given)
        finally:
            schema.write_text('{"type": "object"}')

    monkeypatch.setattr("runtime.quality.runs.loop.read_sets", slowly)
    assert await lab.loop.read() == []
    assert "s.json" in lab.loop.faults[0]
    assert len(await lab.loop.read()) == 1
    lab.close()


async def test_a_box_without_sets_gets_no_file(tmp_path: Path) -> None:
    """Looking costs nothing that lasts."""
    lab = Lab(tmp_path)
    assert lab.store.begun is False
    await lab.loop.turn()
    assert await asyncio.to_thread(os.listdir, tmp_path) == []
    lab.close()


@pytest.mark.parametrize(
    ("now", "zone", "night", "hours"),
    [
        ("2026-11-29T02:29:00+00:00", "UTC", "2026-11-28", 24),
        ("2026-11-29T02:31:00+00:00", "UTC", "2026-11-29", 24),
        ("2026-11-29T00:31:00+00:00", "Europe/Berlin", "2026-11-28", 24),
        ("2026-11-29T01:31:00+00:00", "Europe/Berlin", "2026-11-29", 24),
        ("2026-03-28T12:00:00+00:00", "Europe/Berlin", "2026-03-28", 24),  # on the 29th there is no half past two
        ("2026-10-25T12:00:00+00:00", "Europe/Berlin", "2026-10-25", 25),
    ],
)
def test_the_nights_of_a_zone(now: str, zone: str, night: str, hours: int) -> None:
    """Each night is due once, also where clocks change."""
    at = datetime.fromisoformat(now).timestamp()
    found, due = last_due(at, "02:30", zone)
    assert found == night
    assert due <= at < next_due(at, "02:30", zone)
    assert next_due(at, "02:30", zone) - due <= (hours + 1) * 3600
    assert last_due(at, "02:30", zone, 600)[1] <= at


def test_each_night_of_a_year_is_due_once() -> None:
    """Going from one due time to the next gives every date once."""
    at, nights = datetime.fromisoformat("2026-01-01T12:00:00+00:00").timestamp(), []
    for _ in range(365):
        at = next_due(at, "02:30", "America/New_York")
        nights.append(last_due(at, "02:30", "America/New_York")[0])
    assert len(set(nights)) == 365
    assert json.dumps(nights) == json.dumps(sorted(nights))
