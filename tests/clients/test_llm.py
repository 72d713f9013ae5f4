"""The `llm` command against Hearth, set up as its own documentation says: extra-openai-models.yaml and a stored key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import clients
from tests.clients.clients import MODELS
from tests.clients.serving import Served, run
from tests.fakes.script import PLAIN

pytestmark = pytest.mark.clients

Llm = Callable[..., str]

_TOOL = '''
def get_weather(city: str) -> str:
    """The weather in a city."""
    return {"Paris": "sunny, 21 degrees", "Oslo": "snow"}[city]
'''


@pytest.fixture
def llm(served: Served, tmp_path: Path) -> Llm:
    """Runs the command with a folder of its own, in which every model of Hearth's is named."""
    program = clients.python_client("llm").parent / "llm"
    folder = tmp_path / "llm"
    folder.mkdir()
    entries = [
        {
            "model_id": f"hearth-{name}",
            "model_name": name,
            "api_base": f"{served.url}/v1",
            "api_key_name": "hearth",
            "supports_tools": True,
            "supports_schema": True,
        }
        for name in (*MODELS, "no-such-model")
    ]
    (folder / "extra-openai-models.yaml").write_text(json.dumps(entries))  # JSON is YAML
    (folder / "keys.json").write_text(json.dumps({"hearth": served.key, "bad": "wrong"}))
    env = {"LLM_USER_PATH": str(folder)}

    def command(*words: str, ends: int = 0) -> str:
        return run([program, *words], tmp_path, env, ends=ends)

    return command


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("way", [(), ("--no-stream",)], ids=["streamed", "whole"])
def test_a_question(llm: Llm, model: str, way: tuple[str, ...]) -> None:
    """Answered either way, with its usage in the command's own log."""
    assert llm("-m", f"hearth-{model}", *way, "What is the capital of France?").strip() == PLAIN
    [logged] = json.loads(llm("logs", "--json", "-n", "1"))
    assert (logged["input_tokens"], logged["output_tokens"]) == (40, 8)


@pytest.mark.parametrize("model", MODELS)
def test_a_conversation_and_a_tool_loop(llm: Llm, model: str) -> None:
    """Tools given as functions, and a turn after them."""
    orders = 'call get_weather with {"city": "Paris"} and call get_weather with {"city": "Oslo"}'
    said = llm("-m", f"hearth-{model}", "--functions", _TOOL, orders)
    assert said.strip() == "The tools said: sunny, 21 degrees; snow"
    assert llm("-c", "And the capital?").strip() == PLAIN


@pytest.mark.parametrize("model", MODELS)
def test_an_object_by_schema(llm: Llm, model: str) -> None:
    """In the command's short notation."""
    said = llm("-m", f"hearth-{model}", "--schema", "city, inhabitants int", "Which city?")
    assert json.loads(said) == {"city": "Paris", "inhabitants": 7}


def test_errors_are_told(llm: Llm) -> None:
    """In Hearth's words."""
    assert "key" in llm("-m", "hearth-local", "--key", "wrong", "Hello", ends=1)
    assert "no-such-model" in llm("-m", "hearth-no-such-model", "Hello", ends=1)
