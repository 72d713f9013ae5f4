"""`hearth serve` as a user runs it: a real process with a real engine, a stand-in for the cloud, and the faults done to it.

Whatever a fault hits is checked first to be a vLLM process of that very run: by its marker and its command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

from local_models.host import orphans

ROOT = Path(__file__).resolve().parents[2]
START_S = 400.0
LONG = 600  # tokens of a long answer
PARIS = "What is the capital of France?"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def settings(
    port: int,
    cloud_port: int,
    *,
    model: str = "smollm2-135m",
    args: tuple[str, ...] = ("--max-num-seqs", "2"),
    hang_s: float = 4.0,
    more: str = "",
    engine: str = "",
) -> str:
    """more: at the end of the file. engine: more lines of [engine]."""
    return f"""
[server]
port = {port}
drain = 3.0
[engine]
model = {json.dumps(model)}
device = "cpu"
args = {json.dumps(args)}
hang_after = {hang_s}
canary_timeout = {hang_s}
backoff_first = 0.5
{engine}
[escalation]
queue_depth = 3
ttft_ms = 600000
admit_ttft_ms = 600000
[targets.cloud]
provider = "openai"
model = "stand-in"
base_url = "http://127.0.0.1:{cloud_port}/v1"
{more}"""


@contextlib.contextmanager
def cloud() -> Iterator[int]:
    """A stand-in for a cloud of the OpenAI dialect; its port."""
    port = free_port()
    command = [sys.executable, "-m", "scripts.bench.stub", "--port", str(port), "--chunks", "4"]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        until(lambda: _listens(port), 20, "the stand-in for the cloud listens")
        yield port
    finally:
        process.kill()
        process.wait()


class Serving:
    """One `hearth serve`. `log` is what it told its operator."""

    def __init__(self, folder: Path, cloud_port: int, **changes: Any) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = folder / "hearth.toml"
        self.config.write_text(self.written(cloud_port, **changes))
        self.log = folder / "log"
        self.process = self._start()
        self.http = httpx.Client(base_url=self.url, timeout=120)

    def written(self, cloud_port: int, **changes: Any) -> str:
        """The settings file."""
        return settings(self.port, cloud_port, **changes)

    def _start(self) -> subprocess.Popen[bytes]:
        env = os.environ | {"HEARTH_STATE_DIR": str(self.state)}
        command = [sys.executable, "-m", "runtime.cli", "serve", "--config", str(self.config)]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True)

    def start_again(self) -> None:
        self.process = self._start()

    # What a client does

    def chat(self, text: str = PARIS, *, model: str = "auto", **more: Any) -> httpx.Response:
        body = {
            "model": model,
            "temperature": 0,
            "max_tokens": 24,
            "messages": [{"role": "user", "content": text}],
            **more,
        }
        return self.http.post("/v1/chat/completions", json=body)

    def long_stream(self, **more: Any) -> contextlib.AbstractContextManager[httpx.Response]:
        """A stream of the local engine that goes on for a while."""
        body = {
            "model": "local",
            "stream": True,
            "max_tokens": LONG,
            "ignore_eos": True,
            "messages": [{"role": "user", "content": "Tell me a long story."}],
            **more,
        }
        return self.http.stream("POST", "/v1/chat/completions", json=body)

    def status(self) -> Any:
        return self.http.get("/hearth/status").json()

    @property
    def replica(self) -> Any:
        return self.status()["engine"]["replicas"][0]

    # What a test waits for

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            with contextlib.suppress(httpx.TransportError):
                return bool(self.replica["state"] == "ready")
            return False

        until(ready, START_S, "the engine is ready", self.log)

    def wait_back(self, restarts: int) -> None:
        """Ready again by itself, once more than before, with one run's processes alone."""
        until(
            lambda: self.replica["restarts"] > restarts and self.replica["state"] == "ready", START_S, "back", self.log
        )
        assert len({process.marker.run for process in self.processes()}) == 1

    # Its processes

    def processes(self) -> list[orphans.Marked]:
        mine = str(self.state.resolve())
        return [process for process in orphans.marked() if process.marker.owner.state_dir == mine]

    def front(self) -> int:
        """The API server's pid, checked to be vLLM's and of this run."""
        pid: int = self.replica["pid"]
        assert "vllm.entrypoints" in " ".join(psutil.Process(pid).cmdline())
        assert orphans.marker_of(pid) in [process.marker for process in self.processes()]
        return pid

    def core(self) -> int:
        """The engine core's pid, checked to be vLLM's and of the same run as the API server."""
        run = orphans.marker_of(self.front())
        named = [p for p in self.processes() if "EngineCore" in " ".join(psutil.Process(p.pid).cmdline())]
        assert [process.marker for process in named] == [run]
        return named[0].pid

    def stop(self, number: int = signal.SIGTERM, within_s: float = 60) -> int:
        self.process.send_signal(number)
        return self.process.wait(within_s)

    def none_left(self) -> None:
        until(lambda: not self.processes(), 30, "no process is left")

    def end(self) -> None:
        """Whatever happened: nothing of this run survives the test."""
        self.http.close()
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(60)
        for process in [self.process.pid, *(marked.pid for marked in self.processes())]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def until(true: Callable[[], bool], seconds: float, what: str, log: Path | None = None) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        told = log.read_text()[-3000:] if log else ""
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}\n{told}"
        time.sleep(0.1)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


async def burst(url: str, count: int, **more: Any) -> list[httpx.Response]:
    """So many requests at once."""
    body = {
        "model": "auto",
        "max_tokens": 40,
        "ignore_eos": True,
        "messages": [{"role": "user", "content": "Count."}],
    } | more
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits) as client:
        return list(await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for _ in range(count))))
