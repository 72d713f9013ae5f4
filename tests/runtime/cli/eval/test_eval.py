"""`hearth eval` at a terminal, through a running runtime over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
import typer
from typer.testing import CliRunner

from runtime.cli.client import Address, asked
from runtime.cli.eval import runtime_of
from runtime.cli.eval.command import app
from runtime.cli.eval.compare import change_over
from runtime.cli.exits import CommandError, Exit
from runtime.contract.prices import Price
from runtime.quality.sample.file import SampledAnswer, SampleFile
from runtime.settings import Quality, load
from tests.fakes.door import Door, Setup, opened
from tests.fakes.upstream import Turn, cloud, engine_backend, told, whole

CASE = '[[case]]\nid = "{id}"\nprompt = "question"\nmax_tokens = 50\nchecks = [{{ contains = "{wanted}" }}]\n'
GOLDEN = (
    CASE.format(id="one", wanted="fine") + CASE.format(id="two", wanted="fine") + CASE.format(id="three", wanted="f")
)


class Ended(NamedTuple):
    code: int
    out: str
    err: str


async def hearth(*arguments: str, door: Door | None = None) -> Ended:
    """One command line of the group."""
    url = ("--url", door.url) if door else ()
    result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *url])
    if result.exception and not isinstance(result.exception, SystemExit):
        return Ended(getattr(result.exception, "exit", 99), result.stdout, f"{result.stderr}{result.exception}")
    return Ended(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    (tmp_path / "golden").mkdir()
    file = tmp_path / "golden" / "facts.toml"
    file.write_text(GOLDEN)
    return file


@pytest.fixture
async def door(tmp_path: Path, golden: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    """A runtime whose local model passes all, and whose cloud passes at first and then fails two of three."""
    turns = [Turn(told("fine"))] * 3 + [Turn(told("f, and that is all"))]
    priced = cloud("paid", *turns, price=Price(1.0, 5.0))
    monkeypatch.setenv("HEARTH_API_KEY", "admin")
    setup = Setup(engine_backend((Turn([whole("fine")]),)), [priced], admins=("admin",), quality=Quality())
    async with opened(setup, tmp_path) as made:
        yield made


async def test_a_run_shows_the_cost_first_and_then_who_passes(door: Door) -> None:
    """The estimate comes before anything is asked, and without --yes nobody pays who cannot answer."""
    refused = await hearth("run", door=door)
    assert refused.code == 2
    assert "vendor/paid-model: 3 answers, about $0.0004" in refused.err
    assert "add --yes" in refused.err
    ended = await hearth("run", "--yes", door=door)
    assert ended.code == 0, ended
    assert "3 of 3" in ended.out
    assert "44% to 100%" in ended.out
    assert "local/small: 3 answers, free" in ended.err


async def test_a_report_before_the_first_run(door: Door) -> None:
    """It says what to do, and no advice on targets."""
    for given, words in (
        ((), "no run is closed yet: `hearth eval run` begins one"),
        (("eval_x",), "there is no run 'eval_x'"),
    ):
        ended = await hearth("report", *given, door=door)
        assert ended.code == 4 and ended.err.endswith(words)


async def test_flips_stand_side_by_side(door: Door) -> None:
    """The second run names the class that grew and shows both answers; the report can be shown again, in every form."""
    await hearth("run", "--yes", door=door)
    ended = await hearth("run", "--yes", door=door)
    assert "2 cases flipped" in ended.out
    assert "pass -> wrong" in ended.out
    assert "fine                                           | f, and that is all" in ended.out
    assert "got worse: wrong: 0 -> 2" in ended.out
    again = await hearth("report", door=door)
    assert again.out == ended.out
    text = (await hearth("report", "--markdown", door=door)).out
    assert "| vendor/paid-model | facts | 1 of 3 | 3 of 3 |" in text
    found = json.loads((await hearth("report", "--json", door=door)).out)
    assert {each["case"] for each in found["flips"]} == {"one", "two"}
    assert {(each["answer_before"], each["answer"]) for each in found["flips"]} == {("fine", "f, and that is all")}


async def test_a_case_that_was_edited_flips_too(door: Door, golden: Path) -> None:
    """A changed prompt is what one wants to see; it is marked, because the model may be what it was."""
    await hearth("run", "--yes", door=door)
    await asyncio.to_thread(golden.write_text, GOLDEN.replace('"question"', '"another question"'))
    ended = await hearth("run", "--yes", door=door)
    assert "2 cases flipped" in ended.out
    assert ended.out.count("(the case was edited)") == 2


async def test_a_pipeline_fails_below_its_share(door: Door, golden: Path, tmp_path: Path) -> None:
    """Exit code 1, and JUnit XML with each case; files named on the line move no state."""
    first = await hearth("run", str(golden), "--fail-under", "0.9", "--yes", door=door)
    assert first.code == 0, first
    out = tmp_path / "out.xml"
    second = await hearth("run", str(golden), "--fail-under", "0.9", "--junit", str(out), "--yes", door=door)
    assert second.code == 1
    assert "vendor/paid-model on facts: 1 of 3, and 0.9 is wanted" in second.err
    suites = {each.get("name"): each for each in ElementTree.parse(out).getroot()}
    assert suites["facts on vendor/paid-model"].get("failures") == "2"
    assert [len(suites["facts on local/small"].findall(kind)) for kind in ("testcase", "testcase/failure")] == [3, 0]
    assert await door.quality.store.call(lambda database: database.states()) == {}


async def test_a_report_that_cannot_be_written_costs_nothing(door: Door, golden: Path, tmp_path: Path) -> None:
    """A folder that is not there, or a folder in the file's place, is named before anything is asked."""
    for place in (tmp_path / "gone" / "out.xml", tmp_path):
        ended = await hearth("run", str(golden), "--junit", str(place), "--yes", door=door)
        assert (ended.code, "cannot be written" in ended.err) == (2, True)
    assert not door.quality.store.begun


async def test_ctrl_c_ends_the_run_too(door: Door, golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not left to spend by itself; what was answered stands in its report."""

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("runtime.cli.eval.runtime_of.time.sleep", interrupted)
    ended = await hearth("run", str(golden), "--repeats", "20", "--yes", door=door)
    assert ended.code != 0
    assert "is cancelled: what was answered is kept" in ended.err
    await door.quality.settled()
    report = await hearth("report", door=door)
    assert ", cancelled" in report.out.splitlines()[0]


async def test_a_runtime_that_goes_away_keeps_the_run(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says that it is resumed, and how its report is seen then."""

    def cut(address: Address, method: str, path: str, *more: Any) -> Any:
        if method == "GET" and path.startswith(f"{runtime_of.RUNS}/"):
            raise CommandError("cut the answer", Exit.CUT)
        return asked(address, method, path, *more)

    monkeypatch.setattr(runtime_of, "asked", cut)
    ended = await hearth("run", "--yes", door=door)
    assert ended.code == Exit.CUT
    assert re.search("cut the answer; (eval_[^ ]+) is resumed once Hearth runs: `hearth eval report \\1`", ended.err)


async def test_without_a_set_the_command_says_how_to_get_one(door: Door, golden: Path) -> None:
    """It names the setting and the folder in which it looks."""
    await asyncio.to_thread(golden.unlink)
    ended = await hearth("run", "--yes", door=door)
    assert ended.code == 4
    assert (
        f"there is no golden set: [quality] sets, golden/*.toml, names no file in {golden.parent.parent}" in ended.err
    )


async def test_a_set_for_nobody_is_named(door: Door, golden: Path) -> None:
    """A mistyped target, and a certificate that none of those has, before a run and in the status."""
    for number, own in enumerate(('targets = ["piad", "local"]\n', 'targets = ["paid"]\nrequires = ["hippa"]\n')):
        await asyncio.to_thread((golden.parent / f"s{number}.toml").write_text, own + GOLDEN)
    ran, status = await hearth("run", "--target", "local", "--yes", door=door), await hearth("status", door=door)
    for words in ("s0: no target is called 'piad'", "s1: no target that it names is certified for hippa"):
        assert words in ran.err and words in status.out
    assert "facts: no target" not in ran.err + status.out


async def test_a_schema_that_changed_is_read_again(door: Door, golden: Path) -> None:
    """Files that a set names are a part of it, also where the set itself was not touched."""
    schema = golden.parent / "s.json"
    await asyncio.to_thread(golden.write_text, GOLDEN.replace('{ contains = "f" }', '{ json = "s.json" }'))
    for written, words in (("{", "'s.json' is not JSON"), ('{"type": "text"}', "the schema is none")):
        await asyncio.to_thread(schema.write_text, written)
        assert words in (await hearth("run", "--target", "local", "--yes", door=door)).err
    await asyncio.to_thread(schema.write_text, '{"type": "object"}')
    ended = await hearth("run", "--target", "local", "--yes", door=door)
    assert (ended.code, "2 of 3" in ended.out) == (0, True)


async def test_a_persons_acts_and_what_they_do(door: Door) -> None:
    """Demoted by hand it stands behind, with who and why; promoted it is back; a replay has both."""
    made = await hearth("demote", "paid", "--note", "wrong totals", door=door)
    assert (made.code, made.out) == (
        0,
        "vendor/paid-model demote by a person: wrong totals\n",
    ) or "wrong totals" in made.out
    overview = (await door.client.get("/hearth/quality", headers={"authorization": "Bearer admin"})).json()
    assert [(each["target"], each["state"], each["person"]) for each in overview["streams"]] == [
        ("vendor/paid-model", "demoted", "demote")
    ]
    assert [each["kind"] for each in overview["events"]] == ["demote"]
    assert set(door.desk.fleet.demoted[""]) == {"paid", "vendor/paid-model"}
    assert (await hearth("hold", "paid", door=door)).code == 0
    assert (await hearth("hold", "paid", "--release", door=door)).code == 0
    assert (await hearth("promote", "paid", "--json", door=door)).code == 0
    assert door.desk.fleet.demoted == {}
    await hearth("demote", "local", door=door)
    question = {"model": "auto", "messages": [{"role": "user", "content": "Good morning!"}]}
    explained = (
        await door.client.post("/hearth/explain", json=question, headers={"authorization": "Bearer admin"})
    ).json()
    assert (explained["target"], explained["reason"]) == ("vendor/paid-model", "quality")
    assert explained["words"].startswith("local/small is demoted by key ")
    await hearth("promote", "local", door=door)
    replayed = await hearth("replay", "--tolerance", "0.05", door=door)
    assert [line.split()[1] for line in replayed.out.splitlines()] == [
        *("demote", "hold", "release", "promote"),
        *("demote", "promote"),
    ]
    unknown = await hearth("demote", "nobody", door=door)
    assert unknown.code != 0
    mistyped = await hearth("demote", "paid", "--set", "fact", door=door)
    assert (mistyped.code, "no golden set is called 'fact'; known are facts" in mistyped.err) == (4, True)


async def test_the_status_names_who_is_demoted(door: Door) -> None:
    """Each target on each set, with its latest rate and that of its reference, and a person's word."""
    await hearth("reference", "--runs", "5", "--target", "local", door=door)
    await hearth("demote", "local", "--set", "facts", door=door)
    status = (await hearth("status", door=door)).out
    assert re.search(r"local/small +facts +demoted \(a person's demote\) +- against 100%", status), status


async def test_what_is_kept_is_shown_and_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one decision, and all; nothing is deleted by accident."""
    monkeypatch.setenv("HEARTH_STATE_DIR", str(tmp_path))
    assert "nothing is kept" in (await asyncio.to_thread(CliRunner().invoke, app, ["sample"])).stdout
    for number in range(3):
        row = SampledAnswer(f"dec_{number}", 1.0, "openai_chat", "a/b", "chat", {}, f"answer {number}")
        SampleFile(tmp_path).add(row, 10)
    shown = await asyncio.to_thread(CliRunner().invoke, app, ["sample", "--most", "2"])
    assert [line.split()[0] for line in shown.stdout.splitlines()] == ["dec_1", "dec_2"]
    assert (await asyncio.to_thread(CliRunner().invoke, app, ["forget"])).exit_code != 0
    gone = await asyncio.to_thread(CliRunner().invoke, app, ["forget", "dec_1"])
    assert gone.stdout == "1 deleted\n"
    gone = await asyncio.to_thread(CliRunner().invoke, app, ["forget", "--all"])
    assert gone.stdout == "2 deleted\n"


async def test_one_target_alone(door: Door) -> None:
    """A run for one target is free of the others and of the question, where it costs nothing."""
    ended = await hearth("run", "--target", "local", door=door)
    assert ended.code == 0, ended
    assert "vendor/paid-model" not in ended.out + ended.err
    unknown = await hearth("run", "--target", "nobody", door=door)
    assert (unknown.code, "no target is called 'nobody'" in unknown.err) == (4, True)


async def test_faults_of_a_file_are_all_shown(door: Door, golden: Path) -> None:
    """Nothing is asked with a set that cannot be read."""
    await asyncio.to_thread(golden.write_text, GOLDEN + "[[case]]\nprompt = 'x'\n")
    ended = await hearth("run", str(golden), "--yes", door=door)
    assert ended.code == 5
    assert "line 16: it has no check" in ended.err
    own = await hearth("run", "--yes", door=door)
    assert (own.code, "it has no check" in own.err) == (4, True)


async def test_a_reference_and_its_renewal(door: Door) -> None:
    """A reference is repeats in one run; accept drops it, and both are seen in the status."""
    ended = await hearth("reference", "--runs", "5", "--target", "local", door=door)
    assert ended.code == 0, ended
    assert "15 of 15" in ended.out
    accepted = await hearth("accept", "local", "--note", "new prompt", door=door)
    assert "accept by" in accepted.out
    status = await hearth("status", door=door)
    assert "facts" in status.out
    assert "3 cases" in status.out
    assert "reference of 3 cases: 100.0%" in status.out
    assert "next night:" in status.out
    assert json.loads((await hearth("status", "--json", door=door)).out)["mode"] == "act"


async def test_two_models_side_by_side(door: Door, tmp_path: Path) -> None:
    """Quality, cost and latency on the same cases, and the lines of the settings to change."""
    config = tmp_path / "hearth.toml"
    config.write_text(
        '[targets.paid]\nprovider = "vendor"\nmodel = "paid-model"\nkey = "env:PAID_KEY"\n[routes]\ndefault = ["paid"]\n'
    )
    ended = await hearth("compare", "paid", "local", "--yes", "--config", str(config), door=door)
    assert ended.code == 0, ended
    split = [re.split(r"\s{2,}", line.strip()) for line in ended.out.splitlines()]
    rows = {name: cells for name, *cells in split if len(cells) == 2}
    assert rows["passed"] == ["3 of 3", "3 of 3"]
    assert rows["1,000 answers"] == ["$0.0170", "-"]
    assert {"passed by this one alone", "latency, median", "first token, median"} < set(rows)
    assert "local/small passes as many of only 3 cases" in ended.out
    assert ended.out.endswith("To change over, in the settings:\n\nroutes.default = []\n")
    found = json.loads((await hearth("compare", "paid", "local", "--yes", "--json", door=door)).out)
    assert (found["cases"], found["passed_old"], found["passed_new"]) == (3, 1, 3)
    assert found["only_new"] == ["facts/one", "facts/two"]
    assert found["usd_per_1000_old"] > 0
    same = await hearth("compare", "paid", "vendor/paid-model", "--yes", door=door)
    assert (same.code, "both names mean vendor/paid-model" in same.err) == (2, True)


async def test_a_successor_is_asked_the_sets_of_the_old_model(door: Door, golden: Path) -> None:
    """Also those that name the old one alone; those that not both may see are left out before anything is asked."""
    own = 'name = "own"\ntargets = ["paid"]\n'
    secret = 'name = "secret"\nrequires = ["hipaa"]\n'
    await asyncio.to_thread(golden.write_text, own + GOLDEN)
    await asyncio.to_thread((golden.parent / "secret.toml").write_text, secret + GOLDEN)
    found = json.loads((await hearth("compare", "paid", "local", "--yes", "--json", door=door)).out)
    assert found["cases"] == 3
    nothing = await hearth("compare", "local", "paid", "--yes", door=door)
    assert (nothing.code, "no case is for these targets" in nothing.err) == (1, True)


TARGETS = """
[targets.old]
provider = "openai"
model = "gpt-old"
key = "env:OPENAI_API_KEY"
price = { input = 1, output = 2 }
[targets.other]
provider = "openai"
model = "gpt-new"
key = "env:OPENAI_API_KEY"
[routes]
default = ["old", "other"]
code = ["old"]
complex = ["other"]
[[rules]]
when = { task = "code" }
to = ["old", "local"]
[aliases]
best = "old"
"""


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (
            "openai/gpt-old",
            "openai/gpt-newest",
            ["[targets.old]", 'model = "gpt-newest"', "# of the old model, and to be checked: price"],
        ),
        (
            "openai/gpt-old",
            "groq/openai/gpt-oss",
            [
                "[targets.old]",
                'provider = "groq"',
                'model = "openai/gpt-oss"',
                "# of the old model, and to be checked: key, price",
            ],
        ),
        (
            "openai/gpt-old",
            "openai/gpt-new",
            [
                'routes.code = ["other"]',
                'routes.default = ["other"]',
                'rules[0].to = ["other", "local"]',
                'aliases."best" = "other"',
            ],
        ),
        (
            "openai/gpt-old",
            "local/small",
            ["routes.code = []", 'routes.default = ["other"]', 'rules[0].to = ["local"]', 'aliases."best" = "local"'],
        ),
        ("openai/gpt-lent", "openai/gpt-new", []),
    ],
    ids=["another model", "another provider", "another target", "the engine", "no target"],
)
def test_the_lines_to_change(old: str, new: str, lines: list[str], tmp_path: Path) -> None:
    """The target's own model; or, if the successor is a target too, the lists with its name in the old one's place."""
    file = tmp_path / "hearth.toml"
    file.write_text(TARGETS)
    assert change_over(load(file, {}).settings, old, new) == lines


async def test_without_a_runtime_it_says_so() -> None:
    """The command names what to start."""
    ended = await hearth("run", "--url", "http://127.0.0.1:9")
    assert (ended.code, "start it with: hearth serve" in ended.err) == (3, True)


def test_the_commands_of_the_group() -> None:
    """Each has a line of help."""
    group = typer.main.get_command(app)
    commands = getattr(group, "commands", {})
    assert {"run", "reference", "accept", "status", "report", "compare", "import"} <= set(commands)
    assert all(each.help for each in commands.values())
