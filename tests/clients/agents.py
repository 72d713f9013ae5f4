"""Agents that run a task with tools of their own: how each is started, the names of its tools, where its last words stand.

Each is configured as its pages say for a server of one's own, and left at its default settings otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts import clients
from tests.clients.clients import PROGRAMS
from tests.clients.serving import Served
from tests.fakes.strict import CHAT, MESSAGES, RESPONSES

NOTE, NEW = "note.txt", "new.txt"
WORD, LINE = "heliotrope", "Written by an agent."

GENERATE = "/v1beta/models/gemini-3.8-flash:streamGenerateContent"
# Each kind of target, by its model name at the door; the path on which it is asked for a turn with tools.
TARGETS = {
    "local": CHAT,
    "cloud": CHAT,
    "thinker": RESPONSES,
    "openai": RESPONSES,
    "claude": MESSAGES,
    "gemini": GENERATE,
}

Call = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Run:
    """One run to come. folder: the agent works in it; it holds `NOTE`."""

    served: Served
    model: str
    folder: Path
    prompt: str


@dataclass(frozen=True, slots=True)
class Started:
    """What a run is started with. stdin: None for none."""

    command: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: str | None = None


@dataclass(frozen=True, slots=True)
class Agent:
    """read, write, show: the calls of its tools that read `NOTE`, write `LINE` into `NEW`, and read that again.

    start: installs what is missing. words: the last words, of all it printed. models: its own names of the targets, if any.
    """

    name: str
    read: Callable[[Path], Call]
    write: Callable[[Path], Call]
    show: Callable[[Path], Call]
    start: Callable[[Run], Started]
    words: Callable[[str], str]
    models: Mapping[str, str] = field(default_factory=dict)

    def task(self, folder: Path) -> str:
        """Two calls at once, then a third, which needs what one of them did."""
        first, second, third = (self._order(make(folder)) for make in (self.read, self.write, self.show))
        return f"think. {first} and {second} then {third}"

    @staticmethod
    def _order(call: Call) -> str:
        return f"call {call[0]} with {json.dumps(call[1])}"


# Codex CLI: the responses wire, streamed

_CODEX = """
model = "{model}"
model_provider = "hearth"
[model_providers.hearth]
name = "Hearth"
base_url = "{url}/v1"
env_key = "HEARTH_API_KEY"
wire_api = "responses"
"""
_FREELY = "--dangerously-bypass-approvals-and-sandbox"  # a sandbox in the tests' own sandbox cannot be had


def _codex(run: Run) -> Started:
    home = run.folder / "home" / ".codex"
    home.mkdir(parents=True)
    (home / "config.toml").write_text(_CODEX.format(model=run.model, url=run.served.url))
    command = (clients.agent("codex"), "exec", "--json", "--skip-git-repo-check", _FREELY, run.prompt)
    return Started(command, {"HEARTH_API_KEY": run.served.key})


def _codex_words(printed: str) -> str:
    items = [event["item"] for event in _events(printed) if event["type"] == "item.completed"]
    return str([item["text"] for item in items if item["type"] == "agent_message"][-1])


def _events(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


PATCH = f"*** Begin Patch\n*** Add File: {NEW}\n+{LINE}\n*** End Patch\n"
CODEX = Agent(
    "codex",
    lambda folder: ("exec_command", {"cmd": f"cat {NOTE}"}),
    lambda folder: ("exec_command", {"cmd": f"echo '{LINE}' > {NEW}"}),
    lambda folder: ("exec_command", {"cmd": f"cat {NEW}"}),
    _codex,
    _codex_words,
)
# By the name of a model it knows it offers a grammar tool and a search among its tools …
CODEX_PATCHING = Agent(
    "codex-patching",
    CODEX.read,
    lambda folder: ("apply_patch", {"input": PATCH}),
    CODEX.show,
    _codex,
    _codex_words,
    {"claude": "gpt-5.5"},
)


def _script(*lines: str) -> Call:
    return "functions__exec", {"input": "\n".join(lines)}


# … or one tool in a namespace, brought by an item of the input, that takes JavaScript and reports while it runs.
CODEX_SCRIPTING = Agent(
    "codex-scripting",
    lambda folder: _script(
        'notify("at work");', f'const r = await tools.exec_command({{cmd: "cat {NOTE}"}});', "text(r.output);"
    ),
    lambda folder: _script(f"text(await tools.apply_patch({json.dumps(PATCH)}));"),
    lambda folder: _script(f'const r = await tools.exec_command({{cmd: "cat {NEW}"}});', "text(r.output);"),
    _codex,
    _codex_words,
    {"local": "gpt-5.6-sol", "gemini": "gpt-6-sol", "cloud": "gpt-5.6-terra", "thinker": "gpt-6.2-sol"},
)


# Claude Code: the messages wire, streamed


def _claude_code(run: Run) -> Started:
    env = {
        "ANTHROPIC_BASE_URL": run.served.url,
        "ANTHROPIC_API_KEY": run.served.key,
        "ANTHROPIC_MODEL": run.model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": run.model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    allowed = ("--allowedTools", "Read", "Write", "Bash")
    return Started((clients.agent("claude_code"), "-p", run.prompt, "--output-format", "json", *allowed), env)


CLAUDE_CODE = Agent(
    "claude-code",
    lambda folder: ("Read", {"file_path": str(folder / NOTE)}),
    lambda folder: ("Write", {"file_path": str(folder / NEW), "content": LINE}),
    lambda folder: ("Bash", {"command": f"cat {NEW}", "description": "Shows it"}),
    _claude_code,
    lambda printed: str(json.loads(printed)["result"]),
    # It sends back the thinking of answers that carry the model's name it asked for, and of no others.
    {
        "local": "scripted",
        "cloud": "scripted-cloud",
        "thinker": "gpt-6.1-sol",
        "claude": "claude-haiku-5-5",
        "gemini": "gemini-3.8-flash",
    },
)


# opencode: the chat wire, streamed


def _opencode(run: Run) -> Started:
    options = {"baseURL": f"{run.served.url}/v1", "apiKey": run.served.key}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {run.model: {"name": run.model}}}
    model = f"hearth/{run.model}"
    config = {"model": model, "small_model": model, "provider": {"hearth": provider}}
    (run.folder / "opencode.json").write_text(json.dumps(config))
    quiet = {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"}
    return Started((clients.agent("opencode"), "run", "--format", "json"), quiet, run.prompt)


OPENCODE = Agent(
    "opencode",
    lambda folder: ("read", {"filePath": str(folder / NOTE)}),
    lambda folder: ("write", {"filePath": str(folder / NEW), "content": LINE}),
    lambda folder: ("bash", {"command": f"cat {NEW}", "description": "Shows it"}),
    _opencode,
    lambda printed: str([event["part"]["text"] for event in _events(printed) if event["type"] == "text"][-1]),
)


# Frameworks, each a program of ours with two tools


def _framework(name: str, program: str) -> Agent:
    def start(run: Run) -> Started:
        env = {"HEARTH_URL": run.served.url, "HEARTH_KEY": run.served.key, "HEARTH_ASK": run.model, "TASK": run.prompt}
        return Started((clients.python_client(name), PROGRAMS / program), env)

    return Agent(
        name,
        lambda folder: ("read_file", {"path": NOTE}),
        lambda folder: ("write_file", {"path": NEW, "text": LINE}),
        lambda folder: ("read_file", {"path": NEW}),
        start,
        lambda printed: printed.splitlines()[-1],
    )


OPENAI_AGENTS = _framework("openai-agents", "with_openai_agents.py")  # the responses wire
LIVEKIT_AGENTS = _framework("livekit-agents", "with_livekit_agents.py")  # the chat wire
ALL = (CODEX, CODEX_PATCHING, CODEX_SCRIPTING, CLAUDE_CODE, OPENCODE, OPENAI_AGENTS, LIVEKIT_AGENTS)
IN_CI = (("codex", "local"), ("codex", "claude"), ("claude-code", "gemini"))
