"""The clients, as data: which program asks with which package over which wire, and the names it has for things."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts import clients

PROGRAMS = Path(__file__).parent / "programs"
OPENAI, ANTHROPIC = "openai", "anthropic"  # wires
MODELS = ("local", "cloud", "claude")

Command = Callable[[Path], tuple[Path, ...]]


@dataclass(frozen=True, slots=True)
class Client:
    """command: of the folder it runs in; installs what is missing. finish: its word for an answer that came to its end.

    denied, unknown: the errors of a wrong key and of an unknown model, by class.
    """

    name: str
    wire: str
    command: Command
    finish: str
    denied: str
    unknown: str
    in_ci: bool = False

    @property
    def marks(self) -> tuple[pytest.MarkDecorator, ...]:
        return (pytest.mark.clients, *((pytest.mark.clients_ci,) if self.in_ci else ()))


def _python(name: str, program: str) -> Command:
    return lambda folder: (clients.python_client(name), PROGRAMS / program)


def _node(program: str) -> Command:
    """Node.js looks for packages beside the program alone, so that it runs from a copy that has them beside it."""

    def command(folder: Path) -> tuple[Path, ...]:
        packages = clients.javascript()
        for source in PROGRAMS.glob("*.mjs"):
            shutil.copy(source, folder)
        (folder / "node_modules").symlink_to(packages / "node_modules")
        return (clients.node(packages), folder / program)

    return command


_SDK = ("AuthenticationError", "NotFoundError")
_PYDANTIC_AI = ("ModelAuthenticationError", "ModelNotFoundError")
_LANGCHAIN = ("OpenAIAuthenticationError", "OpenAIModelNotFoundError")
_AI_SDK = ("AI_APICallError", "AI_APICallError")

OPENAI_PYTHON = Client("openai", OPENAI, _python("openai", "with_openai.py"), "stop", *_SDK, in_ci=True)
ANTHROPIC_2 = Client("anthropic", ANTHROPIC, _python("anthropic", "with_anthropic.py"), "end_turn", *_SDK, in_ci=True)
ANTHROPIC_1 = Client("anthropic-1", ANTHROPIC, _python("anthropic-1", "with_anthropic.py"), "end_turn", *_SDK)
OPENAI_NODE = Client("openai-node", OPENAI, _node("with_openai.mjs"), "stop", *_SDK)
AI_SDK = Client("ai-sdk", OPENAI, _node("with_ai_sdk.mjs"), "stop", *_AI_SDK)
AI_SDK_ANTHROPIC = Client("ai-sdk-anthropic", ANTHROPIC, _node("with_ai_sdk.mjs"), "stop", *_AI_SDK)
PYDANTIC_AI = Client("pydantic-ai", OPENAI, _python("pydantic-ai", "with_pydantic_ai.py"), "stop", *_PYDANTIC_AI)
PYDANTIC_AI_ANTHROPIC = Client(
    "pydantic-ai-anthropic", ANTHROPIC, _python("pydantic-ai", "with_pydantic_ai.py"), "stop", *_PYDANTIC_AI
)
LANGCHAIN = Client("langchain", OPENAI, _python("langchain", "with_langchain.py"), "stop", *_LANGCHAIN)
INSTRUCTOR = Client("instructor", OPENAI, _python("instructor", "with_instructor.py"), "stop", *_SDK)

# Those that converse. instructor gives objects alone.
CONVERSING = (
    OPENAI_PYTHON,
    ANTHROPIC_2,
    ANTHROPIC_1,
    OPENAI_NODE,
    AI_SDK,
    AI_SDK_ANTHROPIC,
    PYDANTIC_AI,
    PYDANTIC_AI_ANTHROPIC,
    LANGCHAIN,
)
ALL = (*CONVERSING, INSTRUCTOR)


def each(*chosen: Client, models: Sequence[str] = MODELS) -> pytest.MarkDecorator:
    """The test, once for each of the clients with each model. The client's own marks decide where it runs."""
    pairs = [
        pytest.param(client, model, marks=client.marks, id=f"{client.name}-{model}")
        for client in chosen
        for model in models
    ]
    return pytest.mark.parametrize(("client", "model"), pairs)
