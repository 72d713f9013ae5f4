"""`hearth explain`: the plan without a socket, line by line in order, and a running runtime's plan when asked for."""

from __future__ import annotations

import io
import json
import math
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from runtime.cli.exits import Exit
from runtime.cli.group import run
from runtime.compose.confidence import write_map
from tests.fakes.sureness import BY_MEAN
from tests.runtime.cli.fake_runtime import Reply, as_json, fake_runtime

BIG = "openai/big-model"
CONFIG = """
[targets.big]
provider = "openai"
model = "big-model"
base_url = "http://127.0.0.1:9/v1"

[routes]
default = ["big"]

[escalation]
context_tokens = 50
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "hearth.toml"
    file.write_text(CONFIG)
    return str(file)


def explain(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    err = io.StringIO()
    code = run(("explain", *arguments), io.StringIO(), err)
    shown = capsys.readouterr()
    return code, shown.out, shown.err + err.getvalue()


def batch(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config: str, lines: Iterable[Any]
) -> tuple[int, list[dict[str, Any]]]:
    """Texts go in as they are, values as JSON."""
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    code, out, _ = explain(capsys, "--batch", str(file), "--config", config)
    return code, [json.loads(line) for line in out.splitlines()]


def test_the_confidence_map_in_the_state_folder_is_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a runtime would: with a map of this model the words say that the answer may leave, without one nothing of it."""
    config, state = tmp_path / "hearth.toml", tmp_path / "state"
    engine = '[engine]\nmodel = "small"\nurl = ["http://127.0.0.1:9/v1"]\n'
    config.write_text(f"{engine}{CONFIG}confidence = 0.4\ncomplexity = 1\n")
    monkeypatch.setenv("HEARTH_STATE_DIR", str(state))
    _, without, _ = explain(capsys, "hello", "--config", str(config))
    write_map(BY_MEAN, state)
    code, out, _ = explain(capsys, "hello", "--config", str(config))
    assert code == Exit.OK and "leaves if its early confidence is below 0.4" in out and "confidence" not in without


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **more: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)


@pytest.mark.usefixtures("no_sockets")
def test_a_prompt_is_explained_in_words(capsys: pytest.CaptureFixture[str], config: str) -> None:
    """The engine first, the cloud behind it, the score below; no socket is opened."""
    code, out, err = explain(capsys, "Hello there", "--config", config)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "default" in lines[0]
    assert lines[1].split()[0] == "1."
    assert "big" in lines[2]
    assert "score" in lines[-1] and "leaves at 0.62" in lines[-1]
    for shown in ("facts    about", "load     idle", "nearest  ", "task     chat"):
        assert any(line.strip().startswith(shown) for line in lines), shown
    assert len(lines) <= 24
    assert "\x1b" not in out


def test_the_nearest_changes_are_shown(capsys: pytest.CaptureFixture[str], config: str) -> None:
    """Two of them, each with its target and reason; labelling has no threshold."""
    shown = json.loads(explain(capsys, "Hello there", "--config", config, "--json")[1])
    first, second = shown["would_change"]
    assert (first["target"], first["reason"], second["target"]) == (BIG, "complexity", BIG)
    assert (shown["threshold"], shown["facts"]["modalities"], shown["load"]["ready"]) == (0.62, ["text"], 1)
    labelling = "Classify this review as positive or negative: great phone, works well"
    shown = json.loads(explain(capsys, labelling, "--config", config, "--json")[1])
    assert (shown["task"], shown["threshold"]) == ("extraction", None)
    assert "no score sends it away" in explain(capsys, labelling, "--config", config)[1]


def test_json_carries_reasons_and_candidates(capsys: pytest.CaptureFixture[str], config: str) -> None:
    """A prompt past the threshold leaves, with the number in the words."""
    code, out, _ = explain(capsys, "word " * 400, "--config", config, "--json")
    shown = json.loads(out)
    assert (code, shown["target"], shown["reason"]) == (0, BIG, "context")
    assert "50" in shown["words"]
    assert [each["reason"] for each in shown["candidates"]] == ["context", "fallback"]


def test_a_request_file_is_explained_as_its_dialect(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config: str
) -> None:
    """Hints in the body bind: what needs a certificate stays on the box."""
    file = tmp_path / "request.json"
    body = {"messages": [{"role": "user", "content": "word " * 400}], "hearth": {"requires": ["hipaa"]}}
    file.write_text(json.dumps(body))
    shown = json.loads(explain(capsys, "-f", str(file), "--config", config, "--json")[1])
    assert [each["target"] for each in shown["candidates"]] != [BIG]
    assert all(each["target"] != BIG for each in shown["candidates"])
    file.write_text(json.dumps({"prompt": "Once upon a time", "model": "auto"}))
    assert explain(capsys, "-f", str(file), "--config", config)[0] == 0


def test_a_request_that_would_be_refused_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config: str
) -> None:
    """A malformed body is exit code 1 with its fault; a name nobody has is a plan that refuses."""
    file = tmp_path / "request.json"
    file.write_text('{"messages": [], "messages": []}')
    code, out, err = explain(capsys, "-f", str(file), "--config", config)
    assert (code, out) == (1, "")
    assert "twice" in err
    file.write_text('{"messages": [{"role": "user", "content": "x"}], "hearth": {"requirs": ["hipaa"]}}')
    code, _, err = explain(capsys, "-f", str(file), "--config", config)
    assert code == 1
    assert "requires" in err
    code, out, _ = explain(capsys, "hi", "--model", "nosuch", "--config", config)
    assert code == 0
    assert "refused (404 model_not_found)" in out


@pytest.mark.usefixtures("no_sockets")
def test_a_batch_answers_every_line_in_order(capsys: pytest.CaptureFixture[str], tmp_path: Path, config: str) -> None:
    """Prompts and bodies, ids of any kind, blank lines passed over; exactly the promised members."""
    lines = [
        {"id": "a", "prompt": "Hello"},
        "",
        {"id": 2, "prompt": "word " * 400},
        {"id": {"x": 1}, "body": {"model": "big", "messages": [{"role": "user", "content": "Hi"}]}},
        {"prompt": "no id"},
    ]
    code, rows = batch(capsys, tmp_path, config, lines)
    assert code == 0
    assert [row["id"] for row in rows] == ["a", 2, {"x": 1}, None]
    assert [row["reason"] for row in rows] == ["default", "context", "pinned", "default"]
    assert [row["target"] for row in rows[1:3]] == [BIG, BIG]
    for row in rows:
        assert list(row) == ["id", "score", "task", "target", "reason", "candidates"]
        assert all(list(each) == ["target", "reason"] for each in row["candidates"])
        assert 0 <= row["score"] <= 1
        assert math.isfinite(row["score"])


def test_bad_lines_stand_in_their_place(capsys: pytest.CaptureFixture[str], tmp_path: Path, config: str) -> None:
    """Each says its number and fault, the rest goes on, and the exit code is 1 at the end."""
    lines = [
        {"id": 1, "prompt": "fine"},
        "garbage",
        "[1, 2]",
        {"id": 4},
        {"id": 5, "prompt": "x", "body": {}},
        {"id": 6, "prompt": 7},
        {"id": 7, "body": {"messages": "no list"}},
        {"id": 8, "body": {"messages": [], "hearth": {"bogus": 1}}},
        {"id": 9, "prompt": "fine"},
    ]
    code, rows = batch(capsys, tmp_path, config, lines)
    assert code == 1
    assert [row.get("line") for row in rows] == [None, 2, 3, 4, 5, 6, 7, 8, None]
    assert all(list(row) == ["line", "error"] and row["error"] for row in rows[1:8])
    assert [rows[0]["id"], rows[8]["id"]] == [1, 9]


def test_refused_requests_are_good_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path, config: str) -> None:
    """Nobody may answer: no target, no candidates, and still exit code 0."""
    body = {"model": "big", "messages": [{"role": "user", "content": "x"}], "hearth": {"requires": ["hipaa"]}}
    code, rows = batch(capsys, tmp_path, config, [{"id": 1, "body": body}])
    assert code == 0
    assert (rows[0]["target"], rows[0]["reason"], rows[0]["candidates"]) == (None, "requires", [])


def test_odd_bytes_do_not_stop_a_batch(capsys: pytest.CaptureFixture[str], tmp_path: Path, config: str) -> None:
    """A byte order mark is passed over, Latin-1 is a bad line, a lone surrogate and deep nesting are survived."""
    file = tmp_path / "odd.jsonl"
    deep = b'{"id":4,"body":{"messages":' + b"[" * 5000 + b"]" * 5000 + b"}}\n"
    file.write_bytes(
        b'\xef\xbb\xbf{"id":1,"prompt":"x"}\r\n{"id":2,"prompt":"caf\xe9"}\n{"id":3,"prompt":"\\ud800"}\n' + deep
    )
    code, out, _ = explain(capsys, "--batch", str(file), "--config", config)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert len(rows) == 4
    assert rows[0]["id"] == 1
    assert rows[1]["line"] == 2


def test_no_key_of_the_server_is_needed(
    capsys: pytest.CaptureFixture[str], config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither to plan here, nor to find a running runtime: that is asked with the key of the environment."""
    monkeypatch.delenv("NO_DOOR_KEY", raising=False)
    shown = {"target": "big", "reason": "task", "words": "", "candidates": [], "considered": [], "degraded": []}
    with fake_runtime(lambda asked: as_json(shown | {"score": 0.5, "task": "chat", "prompt_tokens": 3})) as fake:
        port = fake.url.rpartition(":")[2]
        Path(config).write_text(f'[server]\nport = {port}\nkeys = ["env:NO_DOOR_KEY"]\n{CONFIG}')
        assert explain(capsys, "hi", "--config", config)[0] == 0
        assert explain(capsys, "hi", "--live", "--config", config)[0] == 0
        assert [each.path for each in fake.asked] == ["/hearth/explain"]


def test_exactly_one_thing_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """None or two is wrong usage."""
    assert explain(capsys)[0] == 2
    assert explain(capsys, "hi", "--batch", "x")[0] == 2
    assert explain(capsys, "--batch", "/no/such/file")[0] == 2


def test_live_asks_the_running_runtime(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The body goes to /hearth/explain as it is, and the runtime's plan is shown."""
    shown = {
        "score": 0.5,
        "task": "chat",
        "prompt_tokens": 3,
        "target": "big",
        "reason": "queue_depth",
        "words": "7 requests wait, the threshold is 5",
        "degraded": [],
        "candidates": [{"target": "big", "reason": "queue_depth", "words": "7 requests wait"}],
        "considered": [{"target": "other", "reason": "capability", "words": "reads no images"}],
    }
    with fake_runtime(lambda asked: as_json(shown)) as fake:
        code, out, _ = explain(capsys, "hi", "--live", "--url", fake.url, "--requires", "hipaa")
    assert code == 0
    assert fake.asked[0].path == "/hearth/explain"
    assert fake.asked[0].body["hearth"] == {"requires": ["hipaa"]}
    for words in ("7 requests wait, the threshold is 5", "other", "reads no images"):
        assert words in out
    file = tmp_path / "lines.jsonl"
    file.write_text('{"id":1,"prompt":"x"}\n')
    with fake_runtime(lambda asked: as_json({"error": {"message": "no", "code": "invalid_hint"}}, 400)) as fake:
        code, out, _ = explain(capsys, "--batch", str(file), "--live", "--url", fake.url)
    assert (code, json.loads(out)["line"]) == (1, 1)


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[1]", b""])
def test_live_at_another_server_is_one_sentence(capsys: pytest.CaptureFixture[str], body: bytes) -> None:
    """Whatever listens there, and says 200."""
    with fake_runtime(lambda asked: Reply(chunks=(body,))) as fake:
        code, _, err = explain(capsys, "hi", "--live", "--url", fake.url)
    assert code == Exit.REFUSED
    assert "does not answer like a Hearth" in err


def test_live_without_a_runtime_says_how_to_start_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3, also for a batch: a dead runtime is not a bad line."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        code, _, err = explain(capsys, "hi", "--live", "--url", f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert code == 3
    assert "hearth serve" in err
