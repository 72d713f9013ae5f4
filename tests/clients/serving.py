"""`hearth serve` as clients meet it, between them and a scripted stand-in for models.

The stand-in is the box's engine (attached by URL, the model name `local`) and a cloud on each of the wires it speaks
(`cloud`: OpenAI's chat, `thinker`: its responses, `openai`: both, as OpenAI's own host, `claude`: Anthropic's, `gemini`),
strict as the vendors are, so that every
client meets its own wire and a translation. Clients run as processes with an environment of their own making: nothing of the
user's settings, keys or proxies reaches them.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.bench.processes import Running, free_port
from tests.fakes import scripted_generate, scripted_messages, scripted_responses, strict

WINDOW_S = 300.0
_KEY = "clients-key"

_SETTINGS = """
[server]
port = {port}
keys = ["env:HEARTH_API_KEY"]
[engine]
model = "scripted"
url = ["{upstream}/v1"]
[escalation]
ttft_ms = 600000
[targets.cloud]
provider = "openai"
model = "scripted-cloud"
base_url = "{upstream}/v1"
[targets.thinker]
provider = "openai"
model = "gpt-6.1-sol"
base_url = "{upstream}/v1"
[targets.openai]
provider = "openai"
model = "gpt-6.1-sol"
base_url = "http://eu.api.openai.com/v1"
[targets.claude]
provider = "anthropic"
model = "claude-haiku-5-5"
base_url = "{upstream}"
[targets.gemini]
provider = "gemini"
model = "gemini-3.8-flash"
base_url = "{upstream}"
[aliases]
"gpt-4o" = "auto"
"gpt-5.5" = "claude"
"gpt-5.6-sol" = "local"
"gpt-6-sol" = "gemini"
"gpt-5.6-terra" = "cloud"
"gpt-6.2-sol" = "thinker"
"""


@dataclass(frozen=True, slots=True)
class Served:
    """Hearth and what stands behind it. url, upstream: without /v1."""

    url: str
    upstream: str
    key: str = _KEY

    def exchanges(self, mark: str) -> list[dict[str, Any]]:
        """What reached the stand-in with `mark` in its text, oldest first: {"path", "headers", "body", "faults"}."""
        with urllib.request.urlopen(f"{self.upstream}/_scripted/asked", timeout=10) as answer:
            every = json.load(answer)
        return [each for each in every if mark in json.dumps(each["body"])]

    def asked(self, mark: str) -> list[dict[str, Any]]:
        """The bodies of these exchanges as the chat wire has them, whatever wire they came over."""
        return [
            _as_chat(each["path"], each["body"])
            for each in self.exchanges(mark)
            if not each["path"].endswith("count_tokens")
        ]

    def decisions(self) -> list[dict[str, Any]]:
        """The records of the last thousand requests."""
        call = urllib.request.Request(f"{self.url}/hearth/decisions?limit=1000", headers={"x-api-key": self.key})
        with urllib.request.urlopen(call, timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]
        return found


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Served]:
    upstream, port = free_port(), free_port()
    served = Served(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{upstream}")
    config = folder / "hearth.toml"
    config.write_text(_SETTINGS.format(port=port, upstream=served.upstream))
    ours = {
        "HEARTH_STATE_DIR": str(folder / "state"),
        "HEARTH_API_KEY": served.key,
        "OPENAI_API_KEY": "key",
        "HTTP_PROXY": served.upstream,  # OpenAI's own hosts lie behind it; an address on loopback is asked itself
    }
    model = (sys.executable, "-m", "tests.fakes.scripted_model", "--port", str(upstream))
    hearth = (sys.executable, "-m", "runtime.cli", "serve", "--config", str(config))
    with Running(model, folder / "model.log"), Running(hearth, folder / "hearth.log", ours) as running:
        running.first_answer(f"{served.url}/v1/chat/completions", _hello(), key=served.key)
        yield served


def _as_chat(path: str, body: dict[str, Any]) -> dict[str, Any]:
    if scripted_generate.is_asked(path):
        return scripted_generate.as_chat(body)
    if path == strict.RESPONSES:
        return scripted_responses.as_chat(body)
    return scripted_messages.as_chat(body) if path == strict.MESSAGES else body


def _hello() -> bytes:
    return json.dumps({"model": "local", "messages": [{"role": "user", "content": "Are you there?"}]}).encode()


def run(
    command: Sequence[str | Path], folder: Path, env: Mapping[str, str], *, ends: int = 0, stdin: str | None = None
) -> str:
    """A client's output, with its errors where it is to end with one. Fails with all it said where it ends otherwise."""
    (folder / "home").mkdir(parents=True, exist_ok=True)
    own = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "LANG": "C.UTF-8", "NO_PROXY": "127.0.0.1", **env}
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=own,
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=WINDOW_S,
        check=False,
    )
    assert ended.returncode == ends, f"{command} ended with {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout if ends == 0 else ended.stdout or ended.stderr


class Outcomes:
    """What the cases of one program came to."""

    def __init__(self, told: str) -> None:
        self._cases: dict[str, dict[str, Any]] = json.loads(told.splitlines()[-1])

    def __getitem__(self, case: str) -> Any:
        outcome = self._cases[case]
        assert "error" not in outcome, f"{case}:\n{outcome['error']}"
        return outcome["value"]
