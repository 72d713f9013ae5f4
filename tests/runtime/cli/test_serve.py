"""`hearth serve` as a process, attached to a stand-in for an engine: how it starts, and that it always ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import pytest

from tests.fakes.engine_process import engine_process

ROOT = Path(__file__).resolve().parents[3]
DRAIN_S = 2.0
ENDS_WITHIN_S = 10.0


@pytest.fixture
def engine() -> Iterator[str]:
    """The address of a server that answers like an engine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "scripts.bench.stub", "--port", str(port), "--chunks", "4"]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


class Served:
    """One `hearth serve`; `stderr` is the reading end of its pipe."""

    def __init__(
        self,
        folder: Path,
        engine: str,
        *arguments: str,
        program: tuple[str, ...] = ("-m", "runtime.cli"),
        before: Callable[[], None] | None = None,
        settings: str = "",
        **more: str,
    ) -> None:
        """before: called in the child, before the program begins. settings: the text of its file."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        env = {
            **os.environ,
            "HEARTH_STATE_DIR": str(folder),
            "HEARTH_ENGINE__URL": json.dumps([engine]),
            "HEARTH_SERVER__PORT": str(self.port),
            "HEARTH_SERVER__DRAIN": str(DRAIN_S),
            **more,
        }
        file = folder / "hearth.toml"
        file.write_text(settings)
        command = [sys.executable, *program, "serve", "--config", str(file), *arguments]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,  # noqa: PLW1509 - no thread of a test holds a lock that the child needs
        )
        assert self.process.stderr is not None
        self.stderr: IO[str] = self.process.stderr

    def until(self, words: str) -> list[str]:
        """Lines up to the one that holds the words."""
        lines: list[str] = []
        for line in self.stderr:
            lines.append(line)
            if words in line:
                return lines
        raise AssertionError(f"it ended before {words!r}:\n{''.join(lines)}")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return json.load(answer)

    def stop(self, number: int = signal.SIGINT) -> int:
        """One signal, and the exit code it leads to. Raises TimeoutExpired where it does not end."""
        self.process.send_signal(number)
        return self.process.wait(DRAIN_S + ENDS_WITHIN_S)


@contextlib.contextmanager
def served(
    folder: Path,
    engine: str,
    *arguments: str,
    program: tuple[str, ...] = ("-m", "runtime.cli"),
    before: Callable[[], None] | None = None,
    settings: str = "",
    **more: str,
) -> Iterator[Served]:
    hearth = Served(folder, engine, *arguments, program=program, before=before, settings=settings, **more)
    try:
        yield hearth
    finally:
        hearth.process.kill()
        hearth.process.wait()
        hearth.stderr.close()
        if hearth.process.stdout is not None:
            hearth.process.stdout.close()


def test_one_signal_ends_it(tmp_path: Path, engine: str) -> None:
    """SIGINT and SIGTERM each end it in order, with exit code 0, and the last line says so."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with served(tmp_path, engine) as hearth:
            hearth.until("ready:")
            assert hearth.stop(number) == 0
            assert "stopped" in hearth.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_dead_stderr_does_not_keep_it(tmp_path: Path, engine: str, number: int) -> None:
    """`hearth serve 2>&1 | head -1`: whoever read its words is gone, and one signal ends it within the drain."""
    with served(tmp_path, engine) as hearth:
        hearth.stderr.readline()
        hearth.stderr.close()
        assert hearth.stop(number) in (0, -signal.SIGPIPE)


def test_a_dead_stdout_does_not_keep_it(tmp_path: Path, engine: str) -> None:
    """The first answer has nobody to be shown to: the server goes on, and ends when it is asked to."""
    with served(tmp_path, engine, "--first-answer") as hearth:
        assert hearth.process.stdout is not None
        hearth.process.stdout.close()
        hearth.until("ready:")
        assert hearth.get("/health/live") == {"status": "live"}
        assert hearth.stop() == 0


def test_the_status_names_the_background_tasks(tmp_path: Path, engine: str) -> None:
    """Whatever runs beside requests has a name and a state."""
    with served(tmp_path, engine) as hearth:
        hearth.until("ready:")
        chores = {each["name"]: each["state"] for each in hearth.get("/hearth/status")["chores"]}
        assert {"server", "telemetry", "settings"} <= {name for name, state in chores.items() if state == "running"}
        with urllib.request.urlopen(f"http://127.0.0.1:{hearth.port}/metrics", timeout=10) as answer:
            metrics = answer.read().decode()
        assert 'hearth_chore_state{chore="telemetry",state="running"} 1.0' in metrics
        assert 'hearth_chore_restarts_total{chore="telemetry"} 0.0' in metrics
        assert hearth.stop() == 0


def asked(hearth: Served, model: str, text: str = "Hi", key: str = "none") -> tuple[int, str, str]:
    """(status, x-hearth-target, the model that answered or the error's code) of a short chat."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 2}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{hearth.port}/v1/chat/completions", body)
    request.add_header("content-type", "application/json")
    request.add_header("x-api-key", key)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers["x-hearth-target"], json.load(answer)["model"]
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("x-hearth-target", ""), json.load(error)["error"]["code"]


def test_names_of_an_attached_engine_are_what_it_says_now(tmp_path: Path) -> None:
    """Without a model in the settings: its own ids are listed, answered to and sent; another model of tomorrow too."""
    with (
        engine_process(models=["/host/path/base", "sql-lora"]) as port,
        served(tmp_path, f"http://127.0.0.1:{port}/v1") as hearth,
    ):
        hearth.until("ready: base answers")
        listed = [row["id"] for row in hearth.get("/v1/models")["data"]]
        assert listed == ["auto", "local/base", "local/sql-lora"]
        for name in ("auto", "local", "local/base", "base", "/host/path/base", "local//host/path/base"):
            assert asked(hearth, name)[:2] == (200, "local/base"), name
        for name in ("local/sql-lora", "sql-lora", "local/SQL-LoRA"):
            assert asked(hearth, name)[:2] == (200, "local/sql-lora"), name
        assert asked(hearth, "local/smollm2-135m") == (404, "", "model_not_found")
        change = urllib.request.Request(f"http://127.0.0.1:{port}/_fake/script", b'{"models": ["newer"]}')
        urllib.request.urlopen(change, timeout=10).close()
        assert asked(hearth, "auto")[0] == 200
        hearth.until("serves newer now")
        assert asked(hearth, "local/newer")[:2] == (200, "local/newer")
        assert asked(hearth, "local/base") == (404, "", "model_not_found")
        assert hearth.stop() == 0


def test_what_is_pinned_waits_behind_long_answers(tmp_path: Path) -> None:
    """Six requests on an engine that answers two at a time, each for longer than `first_token`: all are answered."""
    body = {"model": "local", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    with (
        engine_process(tokens=15, token_s=0.1, slots=2) as port,
        served(tmp_path, f"http://127.0.0.1:{port}/v1", HEARTH_TIMEOUTS__FIRST_TOKEN="1") as hearth,
    ):
        hearth.until("ready:")

        def ask(number: int) -> bytes:
            url = f"http://127.0.0.1:{hearth.port}/v1/chat/completions"
            with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=30) as answer:
                whole: bytes = answer.read()
                return whole

        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(ask, range(6)))
        assert all(each.endswith(b"data: [DONE]\n\n") and b'"error"' not in each for each in answers)
        rows = hearth.get("/hearth/decisions?limit=6")["data"]
        assert max(row["ttft_ms"] for row in rows) > 2_500


def test_an_engine_that_cannot_be_started_is_said_and_tried_again(tmp_path: Path, engine: str) -> None:
    """A file where the folder of the engine's sockets should be: the cause stands in the status, the door stays open."""
    state = tmp_path / "state"
    state.mkdir()
    for name in ("engine", "engines", "sock", "sockets"):
        (state / name).write_text("in the way")
    more: dict[str, Any] = {
        "HEARTH_STATE_DIR": str(state),
        "HEARTH_ENGINE__URL": "[]",
        "HEARTH_ENGINE__PYTHON": sys.executable,
    }
    with served(tmp_path, engine, **more) as hearth:
        hearth.until("Hearth listens")
        while True:
            report = hearth.get("/hearth/status")
            causes = [each["cause"] for each in report["engine"]["replicas"] if each["cause"]]
            if causes or any(each["trouble"] for each in report["chores"]):
                break
        assert hearth.stop() == 0


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\x00" + b"\xff" * 5000, None])
def test_damaged_state_files_do_not_keep_it_from_starting(tmp_path: Path, engine: str, content: bytes | None) -> None:
    """Garbage, torn databases, or folders in the files' places: it serves, and nothing on stderr is a traceback."""
    for name in ("responses.sqlite3", "decisions.sqlite3", "breakers.json"):
        if content is None:
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_bytes(content)
    with served(tmp_path, engine) as hearth:
        lines = hearth.until("ready:")
        assert hearth.get("/health/live") == {"status": "live"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{hearth.port}/v1/responses",
            json.dumps({"model": "local", "input": "hi", "store": True}).encode(),
            {"content-type": "application/json"},
        )
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
        assert hearth.stop() == 0
        assert "Traceback" not in "".join(lines) + hearth.stderr.read()


_SMALL_DISK = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
runpy.run_module("runtime.cli", run_name="__main__")
"""


@pytest.mark.parametrize(("most", "serves"), [("0", False), ("10", True), ("4096", True)])
def test_a_full_disk_at_the_start_is_a_sentence(tmp_path: Path, engine: str, most: str, serves: bool) -> None:
    """Without room for the lock nothing starts; with room for it alone the runtime serves and keeps decisions in memory."""
    with served(tmp_path, engine, program=("-c", _SMALL_DISK, most)) as hearth:
        if serves:
            lines = hearth.until("ready:")
            assert hearth.stop() == 0
        else:
            lines = [hearth.stderr.readline()]
            assert hearth.process.wait(DRAIN_S + ENDS_WITHIN_S) == 1
            assert "cannot be used" in lines[0]
        assert "Traceback" not in "".join(lines) + hearth.stderr.read()


def test_prefer_moves_automatic_traffic_while_it_runs(tmp_path: Path, engine: str) -> None:
    """A line in the file, and the next answers come from there; the engine runs on."""
    target = f'[targets.cloud]\nprovider = "openai"\nmodel = "large"\nbase_url = "{engine}"\n'
    with served(tmp_path, engine) as hearth:
        hearth.until("ready:")
        settings = tmp_path / "hearth.toml"
        settings.write_text(target)
        hearth.until("settings reloaded")
        assert answered_by(hearth).startswith("local/")
        settings.write_text(f'{target}[escalation]\nprefer = "openai/another"\n')
        hearth.until("settings reloaded: escalation.prefer")
        assert answered_by(hearth) == "openai/another"
        settings.write_text(f'{target}[escalation]\nprefer = "nobody"\n')
        hearth.until("settings not reloaded")
        assert answered_by(hearth) == "openai/another"
        settings.write_text(target)
        hearth.until("settings reloaded: escalation.prefer")
        assert answered_by(hearth).startswith("local/")


def answered_by(hearth: Served) -> str:
    """The target that answers `auto` now."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{hearth.port}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.headers["x-hearth-target"])
