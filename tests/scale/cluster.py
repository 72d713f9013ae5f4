"""A Ray cluster of one node that serves the built-in model on the CPU, as `hearth deploy ray` writes and prints it.

Its home, its token and its ports are the test's own, and all its processes are in one session, by which they are ended:
`ray stop` ends every Ray of the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from local_models.weights.cache import cache_home
from tests.engine.serving import ROOT, Serving, free_port, until

START_S = 500.0
# vLLM on a CPU that others need too.
_ENGINE = {
    "VLLM_TARGET_DEVICE": "cpu",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
}
_ARGS = [
    "--enforce-eager",
    "--dtype=bfloat16",
    "--max-num-seqs=8",
    "--enable-auto-tool-choice",
    "--tool-call-parser=hermes",
]


def builtin_model() -> Path | None:
    """The folder of the built-in model's weights; None where it was never fetched."""
    found = sorted((cache_home(os.environ) / "models").glob("smollm2-135m-*/model.safetensors"))
    return found[0].parent if found else None


class RayCluster:
    """environment: the folder with Ray's programs. folder: of the test. settings: those for Hearth that the command prints."""

    def __init__(self, environment: Path, folder: Path, model: Path) -> None:
        self._bin, self._folder = environment / "bin", folder
        self.token = secrets.token_hex(16)
        self.port, self.dashboard, self.metrics, self.gcs = (free_port() for _ in range(4))
        # Its sockets' names must be short.
        self._temporary = tempfile.mkdtemp(prefix="ray", dir="/tmp")
        self.head: subprocess.Popen[bytes] | None = None
        (folder / "home").mkdir()
        written = folder / "deploy.toml"
        written.write_text(
            f'[engine]\nmodel = {json.dumps(str(model))}\ndevice = "cpu"\nmax_model_len = 2048\nargs = {json.dumps(_ARGS)}\n'
        )
        self.file = folder / "serve.yaml"
        deploy = [
            "deploy",
            "ray",
            "--replicas",
            "1",
            "--max",
            "2",
            "-o",
            str(self.file),
            "--config",
            str(written),
            "--json",
        ]
        told = subprocess.run([sys.executable, "-m", "runtime.cli", *deploy], cwd=ROOT, capture_output=True, check=True)
        made = json.loads(told.stdout)
        self._commands: list[str] = made["commands"]
        self.settings: dict[str, Any] = json.loads(self._here(json.dumps(made["settings"])))
        text = self.file.read_text().replace('host: "0.0.0.0"', 'host: "127.0.0.1"')
        self.file.write_text(text.replace("port: 8000", f"port: {self.port}"))

    def _here(self, text: str) -> str:
        """With this cluster's places for those that the command assumes."""
        places = {"HEAD": "127.0.0.1", "8265": self.dashboard, "9100": self.metrics, ":8000": f":{self.port}"}
        for assumed, place in places.items():
            text = text.replace(assumed, str(place))
        return text

    def _command(self, index: int) -> tuple[list[str], dict[str, str]]:
        """One of the printed commands, with the variables before it."""
        words = shlex.split(self._here(self._commands[index]))
        variables = dict(word.split("=", 1) for word in words if word.startswith("RAY_"))
        program, *arguments = words[len(variables) :]
        env = {
            "PATH": f"{self._bin}:/usr/bin:/bin",
            "HOME": str(self._folder / "home"),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        return [str(self._bin / program), *arguments], env | variables | _ENGINE

    def start(self) -> None:
        """Starts Ray and deploys the application; returns once it answers."""
        command, env = self._command(0)
        # The engine's replica asks for two CPUs, as many as a small machine has.
        command += ["--block", f"--port={self.gcs}", f"--dashboard-port={self.dashboard}", "--dashboard-host=127.0.0.1"]
        command += ["--num-cpus=8", f"--temp-dir={self._temporary}", "--object-store-memory=200000000"]
        with (self._folder / "ray.log").open("ab") as log:
            self.head = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        until(lambda: self._answers(self.dashboard, "/api/serve/applications/"), START_S, "Ray's dashboard", self._log)
        command, env = self._command(2)
        subprocess.run(
            command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=START_S
        )
        until(lambda: self._answers(self.port, "/v1/models"), START_S, "the application answers", self._log)

    @property
    def _log(self) -> Path:
        return self._folder / "ray.log"

    def _answers(self, port: int, path: str) -> bool:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", headers={"authorization": f"Bearer {self.token}"}
        )
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def processes(self) -> list[psutil.Process]:
        """Those of its session: Ray's own, the replicas, vLLM's."""
        assert self.head is not None
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(OSError):
                if os.getsid(process.pid) == self.head.pid:
                    found.append(process)
        return found

    def resident_gib(self) -> float:
        """Memory of all its processes, shared pages counted in each."""
        total = 0
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        return total / 2**30

    def kill_gcs(self) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if process.name().startswith("gcs_server"):
                    process.kill()
                    return
        raise AssertionError("no gcs_server in the session")

    def end(self) -> None:
        """Nothing of its session is left afterwards."""
        if self.head is None:
            return
        self.head.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.head.wait(30)
        deadline = time.monotonic() + 30
        while left := self.processes():
            assert time.monotonic() < deadline, left
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            self.head.poll()
            time.sleep(0.1)
        shutil.rmtree(self._temporary, ignore_errors=True)


class AttachedServing(Serving):
    """`hearth serve` before a cluster, with the settings that `hearth deploy ray` prints. changes: `cluster`, `autoscale`."""

    def written(self, cloud_port: int, **changes: Any) -> str:
        cluster: RayCluster = changes["cluster"]
        sections = {
            "engine": cluster.settings["engine"],
            "autoscale": cluster.settings["autoscale"] | changes["autoscale"],
        }
        tables = "".join(
            f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
            for name, section in sections.items()
        )
        return f"""
[server]
port = {self.port}
{tables}
[targets.cloud]
provider = "openai"
model = "stand-in"
base_url = "http://127.0.0.1:{cloud_port}/v1"
"""
