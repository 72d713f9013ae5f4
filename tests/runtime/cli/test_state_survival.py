"""A real `hearth serve` whose disk fails it: killed at any moment, full, read-only, damaged. What it acknowledged is there."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.cli.state_files import DATABASES
from runtime.money.spent_file import SpentFile
from runtime.trust.audit.show import latest
from runtime.trust.audit.verify import verify
from tests.runtime.cli.test_serve import Served, engine, served
from tests.runtime.cli.test_survival import without_privileges

__all__ = ["engine"]  # a fixture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
KILLS = int(os.environ.get("HEARTH_TEST_KILLS", "10"))
CHAT = {"model": "cloud", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}
LOCAL = CHAT | {"model": "local"}
LINE = json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": LOCAL})


def cloud(engine: str) -> dict[str, Any]:
    """The settings of a cloud that costs something: the same stand-in."""
    target = {"provider": "openai", "model": "m", "base_url": engine, "price": {"input": 1000, "output": 1000}}
    return {"HEARTH_TARGETS__CLOUD": json.dumps(target), "HEARTH_BUDGET__DAILY_USD": "100000"}


class Client:
    """What a runtime has acknowledged, in all of its lives. paid: answers of the cloud that arrived whole.

    answered: ids of every answer that arrived whole.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.paid = 0
        self.kept: dict[str, list[str]] = {"/v1/files/": [], "/v1/batches/": [], "/v1/responses/": []}
        self.keys: list[str] = []
        self.answered: list[str] = []

    def work(self, port: int) -> None:
        """Asks one thing after another until the server is gone."""
        with (
            contextlib.suppress(httpx.HTTPError),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"x-api-key": self.key}, timeout=20) as client,
        ):
            for number in itertools.count():
                for body in (CHAT, LOCAL, CHAT | {"stream": True}, LOCAL | {"stream": True}):
                    whole = client.post("/v1/chat/completions", json=body)
                    if whole.status_code == 200 and (not body.get("stream") or "[DONE]" in whole.text):
                        self.answered.append(whole.headers["x-hearth-decision"])
                        self.paid += body["model"] == "cloud"
                body = {"model": "local", "input": "hi", "store": True}
                self.keep("/v1/responses/", client.post("/v1/responses", json=body))
                upload = {"purpose": (None, b"batch"), "file": ("a.jsonl", LINE.encode())}
                self.keep("/v1/files/", sent := client.post("/v1/files", files=upload))
                wanted = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
                batch = client.post("/v1/batches", json=wanted | {"input_file_id": sent.json().get("id")})
                self.keep("/v1/batches/", batch)
                made = client.post("/hearth/keys", json={"name": f"{port}-{number}"})
                if made.status_code in (200, 201):
                    self.keys.append(made.json()["secret"])

    def keep(self, path: str, answer: httpx.Response) -> None:
        if answer.status_code == 200:
            self.kept[path].append(answer.json()["id"])


def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path, engine: str, vendor: str) -> None:
    """Money, keys, files, batches, stored responses; the audit log is whole, and holds every answer and every exchange."""
    env = cloud(vendor) | {"HEARTH_SERVER__ADMIN_KEYS": '["env:ADMIN"]', "ADMIN": "admin-key-of-the-test-0123456789"}
    client, moments = Client(env["ADMIN"]), random.Random(3)
    for _ in range(KILLS):
        with served(tmp_path, engine, **env) as hearth:
            hearth.until("ready:")
            workers = [threading.Thread(target=client.work, args=(hearth.port,)) for _ in range(4)]
            for worker in workers:
                worker.start()
            time.sleep(0.2 + 1.5 * moments.random())
            hearth.process.kill()
            for worker in workers:
                worker.join()
        assert verify(tmp_path / "audit").intact
        recorded(client, tmp_path / "audit")
    with served(tmp_path, engine, **env) as hearth:
        hearth.until("ready:")
        with httpx.Client(base_url=f"http://127.0.0.1:{hearth.port}", headers={"x-api-key": client.key}) as asked:
            for path, ids in client.kept.items():
                assert len(ids) > KILLS
                lost = [id for id in ids if asked.get(f"{path}{id}").status_code != 200]
                assert not lost, f"{len(lost)} of {len(ids)} {path} are lost"
            assert len(client.keys) > KILLS
            for key in client.keys:
                assert asked.get("/v1/models", headers={"x-api-key": key}).status_code == 200
        assert hearth.stop() == 0
    spent = SpentFile(tmp_path / "budget.sqlite3").load("2020-01-01")
    least = 1_000 * client.paid  # micro-dollars: the stand-in counts at least one token for an answer
    assert client.paid > KILLS and max(spent.values()) >= least


class Cloud(BaseHTTPRequestHandler):
    """A vendor in this process, which counts the exchanges that it saw."""

    seen = 0
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        type(self).seen += 1
        self.rfile.read(int(self.headers["content-length"]))
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        delta = {"index": 0, "delta": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        body = f"data: {json.dumps(chunk | {'choices': [delta], 'usage': usage})}\n\ndata: [DONE]\n\n".encode()
        with contextlib.suppress(OSError):
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def vendor() -> Iterator[str]:
    """Its address."""
    Cloud.seen = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Cloud) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def recorded(client: Client, folder: Path) -> None:
    """Each answer that a client has whole is in the audit log, and each exchange that the cloud saw."""
    rows = latest(folder, 1 << 30)
    lost = set(client.answered) - {
        row.body["decision"] for row in rows if row.kind in ("answer", "delivery", "departure")
    }
    assert not lost, f"{len(lost)} of {len(client.answered)} answers are not in the log: {lost}"
    left = sum(row.kind == "departure" and row.body["to"] == "cloud" and not row.body["refused"] for row in rows)
    assert left >= Cloud.seen, f"the cloud saw {Cloud.seen} exchanges, the log has {left}"


_SMALL_DISK = """
import resource, runpy, signal, sys
most = int(sys.argv.pop(1))
signal.signal(signal.SIGUSR1, lambda *_: resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY)))
signal.signal(signal.SIGUSR2, lambda *_: resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2))
runpy.run_module("runtime.cli", run_name="__main__")
"""


def ask(hearth: Served, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"http://127.0.0.1:{hearth.port}/v1/chat/completions", json=body, timeout=30)


def until(asked: Any, most_s: float = 60.0) -> None:
    end = time.monotonic() + most_s
    while not asked():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_a_disk_that_fills_stops_clouds_and_nothing_else(tmp_path: Path, engine: str) -> None:
    """The status says why. With room again everything goes on by itself, and the audit log counts what it lost: nothing."""
    with served(tmp_path, engine, program=("-c", _SMALL_DISK, "1"), **cloud(engine)) as hearth:
        hearth.until("ready:")
        assert ask(hearth, CHAT).status_code == 200
        hearth.process.send_signal(signal.SIGUSR1)
        until(lambda: ask(hearth, CHAT).status_code != 200)
        refused = ask(hearth, CHAT)
        assert refused.status_code == 503 and "no cloud is called" in refused.text and str(tmp_path) not in refused.text
        for _ in range(20):
            assert ask(hearth, LOCAL).status_code == 200
        until(lambda: sum("cannot be written" in each for each in hearth.get("/hearth/status")["notes"]) >= 2)
        hearth.process.send_signal(signal.SIGUSR2)
        until(lambda: ask(hearth, CHAT).status_code == 200)
        until(lambda: not any("cannot be written" in each for each in hearth.get("/hearth/status")["notes"]))
        assert hearth.stop() == 0
        assert "Traceback" not in hearth.stderr.read()
    verdict = verify(tmp_path / "audit")
    assert verdict.intact and not [each for each in verdict.findings if each.kind == "gap"]


@pytest.mark.parametrize("name", [*DATABASES, "audit"])
def test_a_damaged_file_costs_what_is_in_it_alone(tmp_path: Path, engine: str, name: str) -> None:
    """Local answers go on, clouds where the ledger is whole, and the log or the status names the file."""
    (tmp_path / name).write_bytes(b"no database" * 1000)
    own: dict[str, Any] = {"ADMIN": "admin-key-of-the-test", "HEARTH_SERVER__KEYS": '["env:ADMIN"]'}
    own |= {"HEARTH_QUALITY__SAMPLE__KEEP": "true", "HEARTH_QUALITY__SAMPLE__SHARE": "1"}
    with served(tmp_path, engine, **cloud(engine), **own) as hearth:
        lines = hearth.until("ready:")
        with httpx.Client(base_url=f"http://127.0.0.1:{hearth.port}", headers={"x-api-key": own["ADMIN"]}) as client:
            assert client.post("/v1/chat/completions", json=LOCAL).status_code == 200
            paid = client.post("/v1/chat/completions", json=CHAT)
            assert paid.status_code == (503 if name == "budget.sqlite3" else 200)
            client.get("/v1/batches")
            client.post("/v1/responses", json={"model": "local", "input": "hi", "store": True})
            client.get("/hearth/quality")
            client.get("/hearth/decisions")
            notes = " ".join(client.get("/hearth/status").json()["notes"])
        assert hearth.stop() == 0
        said = "".join(lines) + hearth.stderr.read()
    assert "Traceback" not in said
    assert name in notes + said
    if name == "budget.sqlite3":
        assert (tmp_path / name).read_bytes() == b"no database" * 1000


def test_a_read_only_folder_stops_clouds_and_nothing_else(tmp_path: Path, engine: str) -> None:
    """From the start on: everything that can be kept in memory is."""
    with served(tmp_path, engine, **cloud(engine)) as hearth:
        hearth.until("ready:")
        assert hearth.stop() == 0
    for place in (tmp_path, *tmp_path.rglob("*")):
        if place.name not in ("lock", "hearth.toml"):
            place.chmod(0o555 if place.is_dir() else 0o444)
    try:
        with served(tmp_path, engine, before=without_privileges, **cloud(engine)) as hearth:
            hearth.until("ready:")
            assert ask(hearth, LOCAL).status_code == 200
            assert ask(hearth, CHAT).status_code == 503
            assert hearth.stop() == 0
            assert "Traceback" not in hearth.stderr.read()
    finally:
        tmp_path.chmod(0o755)
