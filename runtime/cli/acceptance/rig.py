"""A Hearth under trial: `hearth serve` as a child with a state folder of its own, its engine, and a stand-in for a cloud."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import psutil

from local_models.host import orphans
from runtime.cli.acceptance.outcome import TrialFailedError
from runtime.cli.acceptance.stand_in import MODEL, StandInCloud
from runtime.contract.engine import Gpu
from runtime.settings.sections.engine import EngineSettings

QUESTION = "What is the capital of France?"
QUEUE = 4  # requests waiting for a first token, at and above which the box sends to the stand-in
_POLL_S = 0.2


class Rig:
    """folder: for settings, state and log. start_s: the longest start of the engine that is waited for.

    A context: leaving it ends Hearth in order, and what it left by force.
    """

    def __init__(
        self, folder: Path, engine: EngineSettings, env: Mapping[str, str], start_s: float, replicas: int = 1
    ) -> None:
        self.folder, self.engine, self.start_s, self.replicas = folder, engine, start_s, replicas
        self.gpus_before: tuple[Gpu, ...] = ()
        self.cloud = StandInCloud()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.config, self.state, self.log = folder / "hearth.toml", folder / "state", folder / "serve.log"
        self.config.write_text(self._settings())
        # Neither the user's settings nor keys nor proxies take part in a trial.
        kept = {
            name: value
            for name, value in env.items()
            if not name.startswith("HEARTH_") or name == "HEARTH_ENGINE_PYTHON"
        }
        self._env = {**kept, "HEARTH_STATE_DIR": str(self.state)}
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=600, trust_env=False)

    def __enter__(self) -> Rig:
        self.cloud.__enter__()
        command = [sys.executable, "-m", "runtime.cli", "serve", "--config", str(self.config)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(TrialFailedError):
            self.stop()
        for process in self.engine_processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.http.close()
        self.cloud.__exit__(kind, value, at)

    def stop(self, within_s: float = 120.0) -> int:
        """SIGTERM, and the exit code. Raises TrialFailedError where it does not end."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired as late:
            self.process.kill()
            self.process.wait()
            raise TrialFailedError(f"Hearth did not end within {within_s:.0f} s of SIGTERM") from late

    def engine_processes(self) -> list[psutil.Process]:
        """Every process of this Hearth's engines, whoever is its parent now."""
        found = [each.pid for each in orphans.marked() if each.marker.owner.state_dir == str(self.state.resolve())]
        return [psutil.Process(pid) for pid in found if psutil.pid_exists(pid)]

    def front(self) -> psutil.Process:
        """vLLM's server."""
        return next(each for each in self.engine_processes() if "vllm" in " ".join(each.cmdline()[1:4]))

    def core(self) -> psutil.Process:
        """vLLM's engine core: the process that schedules."""
        return next(each for each in self.engine_processes() if "EngineCore" in " ".join(each.cmdline()))

    def status(self) -> Any:
        """`/hearth/status`; {} where nobody answers."""
        try:
            return self.http.get("/hearth/status", timeout=10).json()
        except (httpx.HTTPError, ValueError):
            return {}

    def replicas_now(self) -> list[Any]:
        found: list[Any] = self.status().get("engine", {}).get("replicas", [])
        return found

    def ready(self, restarts: int = 0) -> float:
        """Seconds until every replica is ready after so many restarts. Raises TrialFailedError with the cause."""

        def now() -> bool:
            seen = self.replicas_now()
            given_up = [each["cause"] for each in seen if each["state"] == "given_up"]
            if given_up or self.process.poll() is not None:
                raise TrialFailedError(given_up[0] if given_up else self.log.read_text(errors="replace")[-1500:])
            return bool(seen) and all(each["state"] == "ready" and each["restarts"] >= restarts for each in seen)

        return self.until(now, self.start_s, "the engine to be ready")

    def until(self, condition: Callable[[], bool], within_s: float, what: str) -> float:
        """Seconds until the condition holds. Raises TrialFailedError."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > within_s:
                raise TrialFailedError(f"waited {within_s:.0f} s for {what}")
            time.sleep(_POLL_S)
        return time.monotonic() - began

    def chat(self, model: str = "local", text: str = QUESTION, **more: Any) -> httpx.Response:
        return self.http.post("/v1/chat/completions", json=body(model, text, **more))

    def signal(self, process: psutil.Process, number: signal.Signals) -> None:
        """Only a process that carries this Hearth's marker."""
        if process.pid in {each.pid for each in self.engine_processes()}:
            os.kill(process.pid, number)

    @contextlib.contextmanager
    def engine_alone(self) -> Iterator[tuple[httpx.Client, str]]:
        """A client of vLLM's own socket, past Hearth, and the name of its model."""
        address = self.replicas_now()[0]["address"]
        with httpx.Client(transport=httpx.HTTPTransport(uds=address), base_url="http://engine", timeout=600) as client:
            yield client, str(client.get("/v1/models").json()["data"][0]["id"])

    def _settings(self) -> str:
        wanted = self.engine
        lines = [
            "[server]",
            f"port = {self.port}",
            "[engine]",
            f"model = {json.dumps(wanted.model)}",
            f"device = {json.dumps(wanted.device)}",
            f"replicas = {self.replicas}",
            f"max_model_len = {json.dumps(wanted.max_model_len)}",
            f"gpu_memory_utilization = {wanted.gpu_memory_utilization}",
            f"args = {json.dumps(list(wanted.args))}",
            *([f"python = {json.dumps(wanted.python)}"] if wanted.python else []),
            "backoff_first = 1.0",
            "[escalation]",
            f"queue_depth = {QUEUE}",
            "ttft_ms = 600000",
            "complexity = 1.0",
            "[targets.stand_in]",
            'provider = "openai"',
            f'model = "{MODEL}"',
            f'base_url = "http://127.0.0.1:{self.cloud.port}/v1"',
            "[routes]",
            'default = ["stand_in"]',
        ]
        return "\n".join(lines) + "\n"


def body(model: str, text: str = QUESTION, **more: Any) -> dict[str, Any]:
    """A chat request."""
    return {"model": model, "temperature": 0, "max_tokens": 24, "messages": [{"role": "user", "content": text}], **more}
