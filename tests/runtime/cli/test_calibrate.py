"""`hearth calibrate --confidence`: the local model answers questions, and its map comes into the state folder."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from runtime.cli.exits import Exit
from runtime.cli.group import run
from runtime.compose.confidence import map_file, read_maps, revision_served, without_map
from runtime.dialects.openai_chat.early_tokens import EarlyToken
from runtime.settings import load
from tests.fakes.sureness import logged
from tests.runtime.cli.fake_runtime import HEADERS, Asked, Reply, fake_runtime

DONE = b"data: [DONE]\n\n"


def model(asked: Asked) -> Reply:
    """Knows the even numbers for sure, guesses at the odd ones, mostly wrong."""
    text = asked.body["messages"][-1]["content"]
    number = int(text) if text.isdigit() else 0
    sure = number % 2 == 0
    said = "yes" if sure or number % 7 == 0 else "no"
    chunks = [logged(f"{said} ", -0.05 - number % 5 / 100 if sure else -2.0 - number % 5 / 10) for _ in range(3)]
    return Reply(200, (*chunks, logged("", 0.0, "stop"), DONE), HEADERS, "text/event-stream")


def calibrate(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    err = io.StringIO()
    code = run(("calibrate", *map(str, arguments)), io.StringIO(), err)
    shown = capsys.readouterr()
    return code, shown.out, shown.err + err.getvalue()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("HEARTH_STATE_DIR", str(folder))
    monkeypatch.setenv("HEARTH_ESCALATION__CONFIDENCE", "0.5")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    lines = [json.dumps({"prompt": str(n), "answer": "yes"}) for n in range(200)]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(line + "\n" for line in lines))
    return file


def found_map(env: dict[str, str], state: Path) -> Any:
    return read_maps(load(None, env).settings, env, state).get("local")


def test_the_map_is_made_and_in_force(capsys: pytest.CaptureFixture[str], questions: Path, state: Path) -> None:
    """It knows sure answers from unsure ones; before it `config check` says that the setting has no force."""
    env = {"HEARTH_STATE_DIR": str(state), "HEARTH_ESCALATION__CONFIDENCE": "0.5"}
    settings = load(None, env).settings
    assert without_map(settings, env) and "hearth calibrate --confidence" in without_map(settings, env)[0]
    run(("config", "check"), io.StringIO(), io.StringIO())
    assert "escalation.confidence has no force" in capsys.readouterr().err
    with fake_runtime(model) as fake:
        code, out, _ = calibrate(capsys, "--confidence", questions, "--url", fake.url, "--json", "-c", "4")
    assert code == Exit.OK
    said = json.loads(out)
    assert (said["model"], said["answers"], said["right"], said["errors"]) == ("smollm2-135m", 200, 114, 0)
    assert said["auroc"] > 0.9 and Path(said["map"]).parent == state / "confidence"
    made = read_maps(settings, env, state).get("local")
    assert made is not None and made.revision
    sure = made.confidence([EarlyToken(-0.05, (-1.05,))] * 3, "stop")
    unsure = made.confidence([EarlyToken(-2.2, (-3.2,))] * 3, "stop")
    assert sure is not None and unsure is not None and sure > 0.8 > 0.4 > unsure
    assert without_map(settings, env) == []
    run(("config", "check"), io.StringIO(), io.StringIO())
    assert "escalation.confidence" not in capsys.readouterr().err


def test_questions_are_pinned_greedy_and_logged(
    capsys: pytest.CaptureFixture[str], questions: Path, state: Path
) -> None:
    """Nothing leaves the box, and the answer is read as a request's is."""
    with fake_runtime(model) as fake:
        calibrate(capsys, "--confidence", questions, "--url", fake.url, "-q", "--max-tokens", "9")
    body = fake.asked[-1].body
    wanted = {"model": "local", "stream": True, "logprobs": True, "top_logprobs": 5, "temperature": 0, "max_tokens": 9}
    assert wanted.items() <= body.items()


def test_it_resumes_where_it_stopped(capsys: pytest.CaptureFixture[str], questions: Path, state: Path) -> None:
    """Answered questions are not asked again, until --restart."""
    with fake_runtime(model) as fake:
        calibrate(capsys, "--confidence", questions, "--url", fake.url)
        first = len(fake.asked)
        code, out, _ = calibrate(capsys, "--confidence", questions, "--url", fake.url)
        assert code == Exit.OK and len(fake.asked) == first and "114 of 200" in out
        calibrate(capsys, "--confidence", questions, "--url", fake.url, "--restart")
        assert len(fake.asked) == 2 * first


def test_bad_lines_are_counted_and_named(capsys: pytest.CaptureFixture[str], questions: Path, state: Path) -> None:
    """The rest is calibrated all the same, and the exit code says that something is wrong."""
    with questions.open("a") as file:
        file.write('{"prompt": "?"}\nnot json\n')
    with fake_runtime(model) as fake:
        code, out, _ = calibrate(capsys, "--confidence", questions, "--url", fake.url)
    assert code == Exit.FAILED and "2 lines could not be used; the first now: row 201" in out and '"answer"' in out


def test_too_few_questions_make_no_map(capsys: pytest.CaptureFixture[str], tmp_path: Path, state: Path) -> None:
    """The message says how many there are and how many are needed."""
    few = tmp_path / "few.jsonl"
    few.write_text('{"prompt": "1", "answer": "yes"}\n{"prompt": "2", "answer": "yes"}\n')
    with fake_runtime(model) as fake:
        code, _, said = calibrate(capsys, "--confidence", few, "--url", fake.url)
    assert code == Exit.FAILED and "1 of 2 answers are right; at least 20 right and as many wrong" in said
    assert not list((state / "confidence").glob("smollm2*"))


def test_an_engine_without_log_probabilities_is_told_at_once(
    capsys: pytest.CaptureFixture[str], questions: Path, state: Path
) -> None:
    """One question shows it; the others are not asked."""

    def plain(asked: Asked) -> Reply:
        return Reply(200, (b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n', DONE))

    with fake_runtime(plain) as fake:
        code, _, said = calibrate(capsys, "--confidence", questions, "--url", fake.url)
    assert code == Exit.FAILED and "no log probabilities" in said and len(fake.asked) == 2


def test_wrong_command_lines_say_what_to_do(capsys: pytest.CaptureFixture[str], questions: Path, state: Path) -> None:
    """A missing file, a runtime that is not there, no file at all."""
    code, _, said = calibrate(capsys, "--confidence", "absent.jsonl")
    assert code == Exit.USAGE and "absent.jsonl" in said
    code, _, said = calibrate(capsys, "--confidence", questions, "--url", "http://127.0.0.1:9")
    assert code == Exit.NO_RUNTIME and "hearth serve" in said
    code, _, said = calibrate(capsys)
    assert code == Exit.USAGE and "--confidence" in said


def test_a_map_that_cannot_be_read_is_none(state: Path) -> None:
    """Cut, of another version, or of other features: as if there were none."""
    env = {"HEARTH_STATE_DIR": str(state)}
    assert found_map(env, state) is None
    settings = load(None, env).settings
    file = map_file(state, settings.engine.model, revision_served(settings, env))
    file.parent.mkdir(parents=True)
    for text in ("{", '{"model":"m"}', "[]"):
        file.write_text(text)
        assert found_map(env, state) is None


def test_another_local_model_has_a_map_of_its_own(
    capsys: pytest.CaptureFixture[str], questions: Path, state: Path, tmp_path: Path
) -> None:
    """It is asked by its name; without its map `config check` says that the setting has no force for it."""
    file = tmp_path / "hearth.toml"
    file.write_text(
        '[models.small]\nmodel = "llama-3.2-1b"\ntasks = ["chat"]\n[models.labels]\nmodel = "x/y"\ntasks = ["extraction"]\n'
    )
    env = {"HEARTH_STATE_DIR": str(state), "HEARTH_ESCALATION__CONFIDENCE": "0.5"}
    settings = load(file, env).settings
    assert [each for each in without_map(settings, env) if "--model local/small" in each]
    assert not [each for each in without_map(settings, env) if "labels" in each]
    with fake_runtime(model) as fake:
        code, out, _ = calibrate(
            capsys, "--confidence", questions, "--url", fake.url, "--json", "--config", file, "--model", "small"
        )
        assert {each.body["model"] for each in fake.asked} == {"local/small"}
    assert (code, json.loads(out)["model"]) == (Exit.OK, "llama-3.2-1b")
    assert set(read_maps(settings, env, state)) == {"local/small"}
    code, _, err = calibrate(capsys, "--confidence", questions, "--config", file, "--model", "nobody")
    assert code == Exit.USAGE and "local/small" in err
