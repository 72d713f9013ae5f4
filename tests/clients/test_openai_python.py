"""What only openai-python is asked: headers, hints, reasoning, forced tools, plain completions, models, a bad body."""

from __future__ import annotations

from tests.clients.clients import OPENAI_PYTHON, Client, each
from tests.clients.conftest import Tried
from tests.fakes.script import PLAIN, THOUGHT

TARGETS = {"local": "local/scripted", "cloud": "openai/scripted-cloud", "claude": "anthropic/claude-haiku-5-5"}


@each(OPENAI_PYTHON)
def test_usage_is_shown_only_to_who_asks(tried: Tried, client: Client, model: str) -> None:
    """Hearth meters every stream, and a client that did not ask for usage sees none."""
    assert tried(client, model)["stream_without_usage"] == 0


@each(OPENAI_PYTHON)
def test_reasoning_stands_beside_the_text(tried: Tried, client: Client, model: str) -> None:
    """Never in it."""
    assert tried(client, model)["reasoning"] == [THOUGHT, PLAIN]


@each(OPENAI_PYTHON)
def test_a_tool_can_be_forced(tried: Tried, client: Client, model: str) -> None:
    """By its name."""
    assert tried(client, model)["forced_tool"] == {"city": "Paris"}


@each(OPENAI_PYTHON)
def test_an_object_can_be_streamed(tried: Tried, client: Client, model: str) -> None:
    """The client parses it as it grows."""
    assert tried(client, model)["structured_streamed"] == {"city": "Paris", "inhabitants": 7}


@each(OPENAI_PYTHON)
def test_the_raw_response_says_who_answered_and_why(tried: Tried, client: Client, model: str) -> None:
    """Through the client's own way to headers."""
    headers = tried(client, model)["headers"]
    assert headers.pop("x-hearth-decision").startswith("dec_")
    assert headers == {
        "x-hearth-target": TARGETS[model],
        "x-hearth-attempts": "1",
        "x-hearth-reason": "pinned",
    }


@each(OPENAI_PYTHON)
def test_hints_go_in_the_extra_body(tried: Tried, client: Client, model: str) -> None:
    """What must not leave the box does not."""
    assert tried(client, model)["hints"] == "local/scripted"


@each(OPENAI_PYTHON, models=("local", "cloud"))
def test_plain_completions(tried: Tried, client: Client, model: str) -> None:
    """The old wire too."""
    assert tried(client, model)["completions"] == PLAIN


@each(OPENAI_PYTHON)
def test_the_models_are_listed(tried: Tried, client: Client, model: str) -> None:
    """And one of them found by name."""
    outcomes = tried(client, model)
    assert {"auto", *TARGETS.values(), "gpt-4o"} <= set(outcomes["models"])
    assert outcomes["model"] == ["auto", TARGETS["claude"]]


@each(OPENAI_PYTHON)
def test_a_bad_body_is_the_clients_own_error(tried: Tried, client: Client, model: str) -> None:
    """400."""
    assert tried(client, model)["bad_body"][:2] == ["BadRequestError", 400]
