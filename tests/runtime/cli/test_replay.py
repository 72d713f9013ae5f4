"""`hearth replay` on a state folder."""

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
from runtime.record.decisions import Decision, DecisionIds
from runtime.record.store import Store
from tests.fakes.engine_process import engine_process
from tests.runtime.cli.test_group import said
from tests.runtime.cli.test_serve import asked, served

CLAUDE = '[targets.claude]\nprovider = "anthropic"\nmodel = "claude-sonnet-5-5"\nkey = "env:SOME_KEY"\n'


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with ten decisions made under a file with one target."""
    monkeypatch.setenv("HEARTH_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SOME_KEY", "x")
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "hearth.toml"
    config.write_text("[escalation]\ncomplexity = 1\n" + CLAUDE)
    planner = offline_planner(load_settings(config, {"SOME_KEY": "x"}).settings)
    ids = DecisionIds(time.time, 1)
    store = Store(tmp_path / "state" / "decisions.sqlite3", retention_days=1, max_mb=16, clock=time.time)
    store.start()
    for _ in range(10):
        body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
        inputs = planner.planner.inputs(planner.planner.read("openai_chat", body, {}), planner.fleet, 0.0)
        plan = inputs.plan()
        kept = msgspec.json.decode(msgspec.json.encode(kept_of(inputs, plan)))
        label = plan.candidates[0].target.label
        store.add(Decision(id=ids.next(), at=time.time(), dialect="openai_chat", model="auto", target=label, kept=kept))
    store.close()
    return config


def test_the_same_settings_move_nothing(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report says so, in words."""
    assert said("replay", str(recorded))[0] == 0
    shown = capsys.readouterr().out
    assert "10 of 10 recorded decisions made again" in shown and "0 would move" in shown


def test_other_settings_move_requests(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every moved request is named in the JSON."""
    other = recorded.with_name("other.toml")
    other.write_text('[escalation]\ncomplexity = 1\nprefer = "claude"\n' + CLAUDE)
    assert said("replay", "--config", str(other), "--json")[0] == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["share_before"], report["share_after"], len(report["moved"])) == (0.0, 1.0, 10)
    assert report["moved"][0]["after"] == "anthropic/claude-sonnet-5-5"


def test_an_attached_engines_own_names_move_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Requests through a real server, by names that no setting has: the same settings decide them alike."""
    with (
        engine_process(models=["/host/path/base", "sql-lora"]) as port,
        served(tmp_path, url := f"http://127.0.0.1:{port}/v1") as hearth,
    ):
        hearth.until("ready: base answers")
        for name in ("auto", "local", "local/base", "/host/path/base", "local/sql-lora", "nowhere"):
            asked(hearth, name)
        assert hearth.stop() == 0
    monkeypatch.setenv("HEARTH_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("HEARTH_ENGINE__URL", json.dumps([url]))
    assert said("replay", str(tmp_path / "hearth.toml"), "--json")[0] == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["replayed"], report["moved"], report["unanswerable"]) == (6, [], {})


KEYED = """[server]
keys = ["env:DOOR_KEY"]
[escalation]
complexity = 1
[targets.claude]
provider = "anthropic"
model = "claude-sonnet-5-5"
base_url = "{upstream}"
[targets.gemini]
provider = "gemini"
model = "gemini-3.8-flash"
base_url = "{upstream}"
key = "env:NO_SUCH_KEY"
[routes]
code = ["gemini", "claude"]
[[rules]]
when = {{ keywords = ["invoice"] }}
to = ["gemini", "claude"]
"""
MOVED = ("auto", "claude", "gemini", "anthropic/claude-opus-5", "gemini/gemini-3.8-pro")


def test_no_key_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A server with a key for one target, none for the other and one of its own: its decisions are made again in an
    environment that has none of them, and in one that has all.
    """
    with engine_process() as port, engine_process() as upstream:
        text = KEYED.format(upstream=f"http://127.0.0.1:{upstream}")
        url, door = f"http://127.0.0.1:{port}/v1", "a-key-for-the-door"
        with served(tmp_path, url, settings=text, DOOR_KEY=door, ANTHROPIC_API_KEY="x") as hearth:
            hearth.until("ready:")
            for name in MOVED:
                asked(hearth, name, "pay this invoice", door)
            assert hearth.stop() == 0
    monkeypatch.setenv("HEARTH_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("HEARTH_ENGINE__URL", json.dumps([url]))
    for name in ("DOOR_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "NO_SUCH_KEY"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "hearth.toml"
    for _ in ("without a key", "with every key"):
        assert said("replay", str(config), "--json")[0] == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["replayed"], report["moved"], report["unanswerable"]) == (len(MOVED), [], {})
        assert report["share_before"] == 1.0
        monkeypatch.setenv("NO_SUCH_KEY", "x")
    monkeypatch.delenv("NO_SUCH_KEY")
    other = tmp_path / "other.toml"
    other.write_text(text.replace('to = ["gemini", "claude"]', 'to = ["opus"]') + OPUS)
    assert said("replay", str(other))[0] == 0
    shown = capsys.readouterr().out
    assert "1 of them only if the runtime has a key for opus: here its key env:OPUS_KEY holds no value" in shown


OPUS = '[targets.opus]\nprovider = "anthropic"\nmodel = "claude-opus-5"\nkey = "env:OPUS_KEY"\n'


def test_an_empty_folder_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to replay is no success."""
    monkeypatch.setenv("HEARTH_STATE_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    code, _, err = said("replay")
    assert code == Exit.FAILED and "serve some requests first" in err
