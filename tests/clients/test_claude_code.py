"""Claude Code against Hearth: a question, a tool loop that reads a real file, a conversation gone on with, a wrong key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_models.installer.install import UnfitBoxError
from scripts import clients
from tests.clients.clients import MODELS
from tests.clients.serving import Served, run
from tests.fakes.script import PLAIN

pytestmark = [pytest.mark.clients, pytest.mark.clients_ci]

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return clients.agent("claude_code")
    except UnfitBoxError as unfit:
        pytest.skip(str(unfit))


@pytest.fixture
def ask(program: Path, served: Served, tmp_path: Path) -> Ask:
    """One question in print mode, as a user's settings would point it at Hearth; what it reports at the end."""

    def asked(prompt: str, *options: str, model: str = "local", key: str = served.key, ends: int = 0) -> dict[str, Any]:
        env = {
            "ANTHROPIC_BASE_URL": served.url,
            "ANTHROPIC_API_KEY": key,
            "ANTHROPIC_MODEL": model,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": model,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        }
        told = run([program, "-p", prompt, "--output-format", "json", *options], tmp_path, env, ends=ends)
        report: dict[str, Any] = json.loads(told)
        return report

    return asked


@pytest.mark.parametrize("model", MODELS)
def test_a_question(ask: Ask, served: Served, model: str) -> None:
    """Answered and metered; its system prompt, its tools and the question reach the model."""
    report = ask(f"What is the capital of France? [claude-code/{model}]", model=model)
    assert (report["is_error"], report["result"], report["stop_reason"]) == (False, PLAIN, "end_turn")
    assert (report["usage"]["output_tokens"], report["usage"]["cache_read_input_tokens"]) == (8, 10)
    body = served.asked(f"[claude-code/{model}]")[-1]
    assert body["messages"][0]["role"] == "system"
    assert {"Bash", "Read", "Edit"} <= {tool["function"]["name"] for tool in body["tools"]}


def test_its_own_wire_passes_through(ask: Ask, served: Served) -> None:
    """To a target of that wire go its beta features, its cache marks and whatever members it has."""
    ask("Hello. [claude-code/through]", model="claude")
    exchange = served.exchanges("[claude-code/through]")[-1]
    assert "claude-code-" in exchange["headers"]["anthropic-beta"]
    assert any("cache_control" in block for block in exchange["body"]["system"])
    assert exchange["body"]["model"] == "claude-haiku-5-5"


@pytest.mark.parametrize("model", MODELS)
def test_a_tool_loop(ask: Ask, tmp_path: Path, model: str) -> None:
    """It runs its own tool as the model asks, and gives the model what the tool found."""
    note = tmp_path / "note.txt"
    note.write_text("The word is heliotrope.\n")
    order = json.dumps({"file_path": str(note)})
    report = ask(f"call Read with {order}", "--allowedTools", "Read", model=model)
    assert report["num_turns"] == 2
    assert report["result"].startswith("The tools said:")
    assert "The word is heliotrope." in report["result"]


def test_several_tools_at_once(ask: Ask, tmp_path: Path) -> None:
    """Parallel calls come back with all their results; in which order, the client decides, which runs them side by side."""
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"This is {name}.\n")
    orders = " and ".join(
        f"call Read with {json.dumps({'file_path': str(tmp_path / name)})}" for name in ("one", "two")
    )
    said = ask(orders, "--allowedTools", "Read")["result"]
    assert "This is one." in said and "This is two." in said


def test_a_conversation_is_gone_on_with(ask: Ask, served: Served) -> None:
    """The next turn carries the first one."""
    ask("Hello. [claude-code/first]")
    assert ask("And now? [claude-code/second]", "--continue")["result"] == PLAIN
    [body] = [each for each in served.asked("[claude-code/second]") if each.get("tools")]
    assert "[claude-code/first]" in json.dumps(body["messages"])
    assert PLAIN in json.dumps([message for message in body["messages"] if message["role"] == "assistant"])


def test_a_wrong_key_is_told(ask: Ask) -> None:
    """As what it is, without minutes of retries."""
    report = ask("Hello.", key="wrong", ends=1)
    assert (report["is_error"], report["api_error_status"]) == (True, 401)
