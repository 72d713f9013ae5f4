"""`hearth calibrate --cloud-share`: recorded decisions or a file in, a threshold out, and into the settings file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec
import pytest

from runtime.cli.exits import Exit
from runtime.compose.runtime import load_settings
from runtime.compose.targets import offline_planner
from runtime.life.settled import kept_of
from runtime.record.decisions import Considered, Decision, DecisionIds
from runtime.record.store import Store
from tests.runtime.cli.test_group import said

CONFIG = """\
[targets.claude]
provider = "anthropic"
model = "claude-sonnet-5-5"
key = "env:SOME_KEY"

[escalation]  # when a request leaves
complexity = 0.5  # of a prompt
"""
PROMPTS = (
    "hello",
    "Tell me a joke about cats.",
    "If f(x) = 3x^2 + 7x - 5, find the sum of the roots of f(x) = 2x + 9.",
    "Prove that every group of order p^2 is abelian, for a prime p, and name each theorem that you use.",
    "Write a Python function that sorts a list of dates.",
)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file with one target, whose key is not in this environment, and an empty state folder."""
    monkeypatch.setenv("HEARTH_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("SOME_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "hearth.toml"
    file.write_text(CONFIG)
    return file


def recorded(config: Path, count: int) -> None:
    """Writes decisions of that many prompts in turn, one in ten of them pinned."""
    planner = offline_planner(load_settings(config, {"SOME_KEY": "x"}).settings)
    ids = DecisionIds(time.time, 1)
    store = Store(config.parent / "state" / "decisions.sqlite3", retention_days=1, max_mb=16, clock=time.time)
    store.start()
    for number in range(count):
        prompt = f"{PROMPTS[number % len(PROMPTS)]} {number % 7}"
        model = "local" if number % 10 == 9 else "auto"
        body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
        inputs = planner.planner.inputs(planner.planner.read("openai_chat", body, {}), planner.fleet, 0.0)
        plan = inputs.plan()
        label = plan.candidates[0].target.label
        away, here = "anthropic/claude-sonnet-5-5", "local/smollm2-135m"
        other = Considered(here if label == away else away, "default", cost_usd=None if label == away else 0.5)
        store.add(
            Decision(
                id=ids.next(),
                at=time.time() - count + number,
                dialect="openai_chat",
                model=model,
                target=label,
                considered=(other,),
                cost_usd=0.5 if label == away else None,
                kept=msgspec.to_builtins(kept_of(inputs, plan)),
            )
        )
    store.close()


def test_own_traffic_gives_a_threshold(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its share, its intervals, its costs, and what did not count, for a person and as JSON."""
    recorded(config, 400)
    assert said("calibrate", "--cloud-share", "0.4", "--json")[0] == Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert found["requests"] == 360 and found["unusable"] == {"its model was pinned": 40}
    assert found["low"] <= found["threshold"] == found["complexity"] <= found["high"]
    assert (found["split"], found["chosen_on"]["requests"], found["held_out"]["requests"]) == ("time", 240, 120)
    assert found["held_out"]["low"] <= 0.4 <= found["held_out"]["high"]
    left = found["now"]["left"]
    assert left and found["cost_usd_now"] == pytest.approx(0.5 * left)
    assert found["written"] is None and config.read_text() == CONFIG
    assert said("calibrate", "--cloud-share", "0.4")[0] == Exit.OK
    shown = capsys.readouterr().out
    assert "360 requests were free to stay or to leave; 40 others:" in shown and "40: its model was pinned" in shown
    assert f"complexity = {found['complexity']}" in shown and "repeat with --write" in shown


def test_a_written_threshold_is_in_the_file(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its comments stay, its mode too, and the next reading finds the share that was wanted."""
    recorded(config, 400)
    config.chmod(0o640)
    assert said("calibrate", "--cloud-share", "0.4", "--write", "--json")[0] == Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert config.read_text() == CONFIG.replace("0.5 ", f"{found['complexity']} ")
    assert config.stat().st_mode & 0o777 == 0o640 and found["written"] == str(config)
    assert said("calibrate", "--cloud-share", "0.4", "--json")[0] == Exit.OK
    assert json.loads(capsys.readouterr().out)["now"]["share"] == pytest.approx(0.4, abs=0.03)


def test_labelled_lines_give_a_threshold_and_its_grades(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prompts and bodies; lines that cannot be read are counted, and no runtime or record is needed."""
    lines = [json.dumps({"prompt": f"{PROMPTS[n % 5]} {n}", "weak": 0, "strong": 1}) for n in range(150)]
    body = {"messages": [{"role": "user", "content": PROMPTS[3]}]}
    lines += [json.dumps({"body": body}), json.dumps({"prompt": "x", "weak": "no"}), "{", ""]
    file = config.with_name("lines.jsonl")
    file.write_text("\n".join(lines))
    assert said("calibrate", "--cloud-share", "0.3", "--labelled", str(file), "--json")[0] == Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert (found["requests"], found["split"], found["cost_usd_now"]) == (151, "random", None)
    assert found["unusable"] == {"its line cannot be read": 1, "its hints or grades cannot be used": 1}
    assert found["grades"]["stays"] == 0 < found["grades"]["proposed"] < found["grades"]["leaves"] == 1
    assert said("calibrate", "--cloud-share", "0.3", "--labelled", str(file), "--by-task")[0] == Exit.OK
    assert "mean grade of the rest: 0.000 if all stay" in capsys.readouterr().out


def test_faults_say_what_to_do(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too few requests and why, wrong options, no target, a value that goes before the file."""
    code, _, err = said("calibrate", "--cloud-share", "0.2")
    assert code == Exit.FAILED and "0 requests were free" in err and "100 are needed: serve more `auto` requests" in err
    recorded(config, 100)
    code, _, err = said("calibrate", "--cloud-share", "0.2")
    assert code == Exit.FAILED and "90 requests were free" in err and "10: its model was pinned" in err
    code, _, err = said("calibrate", "--cloud-share", "0.2", "--labelled", "absent.jsonl")
    assert code == Exit.USAGE and "absent.jsonl cannot be read" in err
    for share in ("0", "1", "20"):
        code, _, err = said("calibrate", "--cloud-share", share)
        assert code == Exit.USAGE and "between 0 and 1" in err
    code, _, err = said("calibrate", "--cloud-share", "0.2", "--confidence", "x.jsonl")
    assert code == Exit.USAGE and "give one of" in err
    recorded(config, 200)
    monkeypatch.setenv("HEARTH_ESCALATION__COMPLEXITY", "0.5")
    code, _, err = said("calibrate", "--cloud-share", "0.2", "--write")
    assert code == Exit.USAGE and "goes before the file" in err
    monkeypatch.delenv("HEARTH_ESCALATION__COMPLEXITY")
    config.unlink()
    monkeypatch.setenv("HEARTH_TARGETS", '{"claude": {"provider": "anthropic", "model": "claude-sonnet-5-5"}}')
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    code, _, err = said("calibrate", "--cloud-share", "0.2", "--write")
    assert code == Exit.USAGE and "there is no settings file to write to" in err
    monkeypatch.delenv("HEARTH_TARGETS")
    config.write_text("")
    code, _, err = said("calibrate", "--cloud-share", "0.2")
    assert code == Exit.SETTINGS and "no target is configured" in err
