"""`hearth ask`: the answer on stdout, the decision on stderr, and a plain word for every fault."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cli.group import run
from tests.runtime.cli.fake_runtime import HEADERS, Answer, Asked, Reply, as_json, fake_runtime, stream

ROOT = Path(__file__).resolve().parents[3]


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    err = io.StringIO()
    code = run(("ask", *arguments), io.StringIO(), err)
    shown = capsys.readouterr()
    return code, shown.out, shown.err + err.getvalue()


def always(reply: Reply) -> Answer:
    return lambda asked: reply


def test_the_answer_is_streamed_and_the_decision_follows(capsys: pytest.CaptureFixture[str]) -> None:
    """stdout holds the answer alone; stderr says who, why, how much and the id."""
    with fake_runtime(always(stream("Par", "is", degraded="temperature, no_target"))) as fake:
        code, out, err = ask(capsys, "Capital of France?", "--url", fake.url)
    assert (code, out) == (0, "Paris\n")
    for words in ("local/m", "default", "12 + 3 tokens", "degraded: temperature, no_target", "dec_0000000000000001"):
        assert words in err
    body = fake.asked[0].body
    assert fake.asked[0].path == "/v1/chat/completions"
    assert (body["model"], body["stream"], body["stream_options"]) == ("auto", True, {"include_usage": True})
    assert body["messages"] == [{"role": "user", "content": "Capital of France?"}]


def test_options_reach_the_body_and_the_key_the_header(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Model, system, file, sampling and requirements; HEARTH_API_KEY is shown to the runtime and to nobody else."""
    monkeypatch.setenv("HEARTH_API_KEY", "sesame")
    text = tmp_path / "letter.txt"
    text.write_text("Dear Sir")
    options = [
        "--model",
        "local",
        "--system",
        "Be short",
        "--file",
        str(text),
        "--requires",
        "hipaa",
        "--requires",
        "zdr",
    ]
    with fake_runtime(always(stream("ok"))) as fake:
        code, out, err = ask(
            capsys, "Summarize", *options, "--max-tokens", "5", "--temperature", "0", "--url", f"{fake.url}/v1/"
        )
    assert code == 0
    body = fake.asked[0].body
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("local", 5, 0.0)
    assert body["hearth"] == {"requires": ["hipaa", "zdr"]}
    assert [message["content"] for message in body["messages"]] == ["Be short", "Summarize\n\nDear Sir"]
    assert fake.asked[0].headers["authorization"] == "Bearer sesame"
    assert "sesame" not in out + err


@pytest.mark.parametrize("streamed", [True, False])
def test_json_is_one_object(capsys: pytest.CaptureFixture[str], streamed: bool) -> None:
    """The same members whether it was streamed or not."""
    whole = as_json(
        {
            "choices": [{"message": {"content": "Paris"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 3},
        },
        headers=HEADERS,
    )
    with fake_runtime(always(stream("Par", "is") if streamed else whole)) as fake:
        more = () if streamed else ("--no-stream",)
        code, out, err = ask(capsys, "?", "--json", "--url", fake.url, *more)
    assert (code, err) == (0, "")
    shown = json.loads(out)
    assert (shown["answer"], shown["whole"], shown["finish_reason"]) == ("Paris", True, "stop")
    assert (shown["target"], shown["reason"], shown["attempts"]) == ("local/m", "default", 1)
    assert shown["usage"]["completion_tokens"] == 3
    assert fake.asked[0].body["stream"] is streamed


def test_a_dead_runtime_says_how_to_start_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3, no traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        port = taken.getsockname()[1]
        code, out, err = ask(capsys, "hi", "--url", f"http://127.0.0.1:{port}")
    assert (code, out) == (3, "")
    assert f"no runtime answers at http://127.0.0.1:{port}; start it with: hearth serve" in err


def test_a_refusal_is_told_in_the_runtimes_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Status, code, message; what to do where it is known."""
    body = {"error": {"message": "no target is certified for hipaa", "code": "no_compliant_target", "type": "x"}}
    with fake_runtime(always(as_json(body, 403))) as fake:
        code, _, err = ask(capsys, "hi", "--url", fake.url)
    assert code == 4
    assert "(403 no_compliant_target): no target is certified for hipaa" in err
    with fake_runtime(always(as_json({"error": {"message": "no key"}}, 401))) as fake:
        assert "HEARTH_API_KEY" in ask(capsys, "hi", "--url", fake.url)[2]


@pytest.mark.parametrize(
    "reply",
    [
        stream("Par", finish=None),
        stream("Par", finish="abort"),
        Reply(
            200,
            (
                b'data: {"choices":[{"delta":{"content":"Par"}}]}\n\n',
                b'data: {"error":{"message":"the engine died"}}\n\ndata: [DONE]\n\n',
            ),
            HEADERS,
            "text/event-stream",
        ),
    ],
    ids=["no finish", "abort", "error event"],
)
def test_a_cut_answer_is_never_shown_as_whole(capsys: pytest.CaptureFixture[str], reply: Reply) -> None:
    """What came is shown, and the exit code is 6 whatever follows it."""
    with fake_runtime(always(reply)) as fake:
        code, out, err = ask(capsys, "hi", "--url", fake.url)
    assert (code, out) == (6, "Par\n")
    assert "the answer was cut" in err


def report(state: str, cause: str | None = None) -> Reply:
    replica = {"name": "r0", "state": state, "for_s": 1.0, "cause": cause, "ready_in_s": 9.0}
    engine = {"model": "m", "device": "cpu", "replicas": [replica]}
    return as_json({"version": "0", "started_at": 0, "uptime_s": 1, "address": "x", "engine": engine})


NOT_UP = as_json({"error": {"message": "the engine is starting", "code": "engine_not_ready"}}, 503)


def test_a_starting_engine_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    """A 503 while it starts is no failure: the wait is told, and the answer comes when it is up."""
    states = ["starting", "ready"]

    def answer(asked: Asked) -> Reply:
        if asked.path == "/hearth/status":
            return report(states.pop(0))
        return NOT_UP if states else stream("up")

    with fake_runtime(answer) as fake:
        code, out, err = ask(capsys, "hi", "--url", fake.url)
    assert (code, out) == (0, "up\n")
    assert "the engine is starting, ready in about 9.0 s" in err


def test_an_engine_that_gave_up_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    """The cause is told at once."""

    def answer(asked: Asked) -> Reply:
        return report("given_up", "out of memory: lower max_model_len") if asked.method == "GET" else NOT_UP

    with fake_runtime(answer) as fake:
        code, _, err = ask(capsys, "hi", "--url", fake.url)
    assert code == 4
    assert "out of memory: lower max_model_len" in err


def test_without_patience_the_refusal_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """--wait 0."""
    with fake_runtime(always(NOT_UP)) as fake:
        code, _, err = ask(capsys, "hi", "--url", fake.url, "--wait", "0")
    assert code == 4
    assert "the engine is starting" in err


@pytest.mark.parametrize(
    "arguments", [(), ("hi", "--file", "/no/such/file"), ("hi", "--url", "localhost:8000"), ("hi", "--nonsense")]
)
def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    """Nothing to ask, a missing file, an address without a scheme, an unknown option."""
    code, out, err = ask(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err


def test_bad_settings_are_told_with_their_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Exit code 5."""
    file = tmp_path / "hearth.toml"
    file.write_text("[server]\nprot = 1\n")
    code, _, err = ask(capsys, "hi", "--config", str(file))
    assert code == 5
    assert f"{file}:2" in err


def test_the_address_comes_from_the_settings(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Host and port as the file says."""
    with fake_runtime(always(stream("ok"))) as fake:
        file = tmp_path / "hearth.toml"
        file.write_text(f"[server]\nport = {fake.url.rpartition(':')[2]}\n")
        assert ask(capsys, "hi", "--config", str(file))[:2] == (0, "ok\n")


def test_ctrl_c_cuts_the_stream_and_closes_the_connection() -> None:
    """Exit code 130, what came stays, and the runtime notices at once that nobody listens."""
    with (
        fake_runtime(always(stream("Once upon", finish=None, hold=True))) as fake,
        subprocess.Popen(
            [sys.executable, "-m", "runtime.cli", "ask", "A long tale", "--url", fake.url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as asking,
    ):
        assert asking.stdout is not None
        assert asking.stderr is not None
        assert asking.stdout.read(9) == b"Once upon"
        asking.send_signal(signal.SIGINT)
        assert fake.client_gone.wait(10)
        assert asking.wait(10) == 130
        assert b"Traceback" not in asking.stderr.read()
