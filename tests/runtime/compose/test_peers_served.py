"""Two Hearths as processes, each before an engine of its own. Slow."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.cli.test_serve import ROOT, Served, engine, served

__all__ = ["engine"]
pytestmark = pytest.mark.slow
LONG_S = 60.0


def asked(hearth: Served, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, str], Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{hearth.port}/v1/chat/completions",
        json.dumps({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, **body}).encode(),
        {"content-type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, dict(answer.headers), json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), json.load(error)


@contextlib.contextmanager
def fleet(folder: Path, engine: str) -> Iterator[tuple[Served, Served]]:
    """a leaves its engine for every request, b takes what comes."""
    key: Any = {"HEARTH_FLEET__KEY": "env:BETWEEN_US", "BETWEEN_US": "a-secret-of-the-fleet"}
    for name in "ab":
        (folder / name).mkdir()
    with served(folder / "b", engine, HEARTH_FLEET__NAME="b", **key) as b:
        b.until("ready:")
        peers = json.dumps([f"http://127.0.0.1:{b.port}"])
        more: Any = {"HEARTH_FLEET__NAME": "a", "HEARTH_FLEET__PEERS": peers, "HEARTH_ESCALATION__QUEUE_DEPTH": "0"}
        with served(folder / "a", engine, **more, **key) as a:
            a.until("ready:")
            yield a, b


def alive(hearth: Served, state: str = "alive") -> dict[str, Any]:
    deadline = time.monotonic() + LONG_S
    while time.monotonic() < deadline:
        report: dict[str, Any] = hearth.get("/hearth/fleet")
        if report["peers"][0]["state"] == state:
            return report
        time.sleep(0.1)
    raise AssertionError(report)


def test_a_full_hearth_asks_the_other(tmp_path: Path, engine: str) -> None:
    """The answer is the same target's, under one id in both records; the other dead, it is answered here again."""
    with fleet(tmp_path, engine) as (a, b):
        report = alive(a)
        assert report["own"]["name"] == "a" and report["peers"][0]["summary"]["name"] == "b"
        status, headers, _ = asked(a, {"model": "auto"})
        assert (status, headers["x-hearth-reason"]) == (200, "queue_depth") and "x-hearth-degraded" not in headers
        assert headers["x-hearth-target"].startswith("local/")
        made = headers["x-hearth-decision"]
        deadline = time.monotonic() + LONG_S
        there = None
        while there is None and time.monotonic() < deadline:
            with contextlib.suppress(urllib.error.HTTPError):
                there = b.get(f"/hearth/decisions/{made}")
        assert there is not None and there["caller"] == "fleet" and there["reason"] == "pinned"
        here = a.get(f"/hearth/decisions/{made}")
        assert here["attempts"][0]["lane"] == f"peer/127.0.0.1:{b.port}"
        status, _, error = asked(b, {"model": "auto"}, **{"x-hearth-hop": "1"})
        assert (status, error["error"]["code"]) == (400, "invalid_hint")
        shown = subprocess.run(
            [sys.executable, "-m", "runtime.cli", "fleet", "status", "--url", f"http://127.0.0.1:{a.port}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert re.search(rf"^ *b +alive +http://127\.0\.0\.1:{b.port} ", shown.stdout, re.MULTILINE), shown.stdout
        b.process.kill()
        status, headers, _ = asked(a, {"model": "auto"})
        assert (status, headers["x-hearth-target"].startswith("local/")) == (200, True)
        alive(a, "stale")
        assert asked(a, {"model": "auto"})[1]["x-hearth-degraded"] == "no_target"
