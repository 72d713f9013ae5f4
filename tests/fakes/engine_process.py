"""A stand-in for vLLM as a process of its own, to attach to."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def engine_process(**script: Any) -> Iterator[int]:
    """Its port on 127.0.0.1; killed at the end. script: what it does, as `tests.fakes.script` has it."""
    port = free_port()
    command = [sys.executable, "-m", "tests.fakes.fake_vllm", "--port", str(port), "--model", "m"]
    command += ["--script", json.dumps(script)]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            yield port
        finally:
            os.killpg(process.pid, signal.SIGKILL)
