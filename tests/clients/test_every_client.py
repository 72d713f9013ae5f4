"""What every client does with Hearth between it and a model: converse, stream, call tools, get objects, be refused."""

from __future__ import annotations

from typing import Any

from tests.clients.clients import (
    ALL,
    ANTHROPIC,
    ANTHROPIC_1,
    ANTHROPIC_2,
    CONVERSING,
    INSTRUCTOR,
    OPENAI_PYTHON,
    Client,
    each,
)
from tests.clients.conftest import Tried
from tests.clients.serving import Served
from tests.fakes.script import PLAIN, THOUGHT
from tests.fakes.scripted_messages import SIGNATURE

TOKENS = [40, 8, 10]  # in, out, in from a cache
CITY = {"city": "Paris", "inhabitants": 7}
TOOLS_SAID = "The tools said: sunny, 21 degrees; snow"


def mark(client: Client, model: str, case: str) -> str:
    """What the program writes into the prompt of a case."""
    return f"[{client.name}/{model}/{case}]"


@each(*CONVERSING)
def test_a_whole_answer_with_its_usage(tried: Tried, client: Client, model: str) -> None:
    """Text, finish reason and tokens, those from a cache too."""
    assert tried(client, model)["whole"] == {"text": PLAIN, "finish": client.finish, "usage": TOKENS}


@each(*CONVERSING)
def test_a_stream_with_its_usage(tried: Tried, client: Client, model: str) -> None:
    """The same in pieces."""
    said = tried(client, model)["stream"]
    assert said.pop("pieces") > 1
    assert said == {"text": PLAIN, "finish": client.finish, "usage": TOKENS}


@each(*CONVERSING)
def test_a_tool_loop(tried: Tried, client: Client, model: str) -> None:
    """Two calls at once, their results in order, then the answer from them."""
    assert tried(client, model)["tools"] == TOOLS_SAID


@each(*CONVERSING)
def test_a_tool_loop_over_streams(tried: Tried, client: Client, model: str) -> None:
    """The calls are put together from fragments."""
    assert tried(client, model)["tools_streamed"] == TOOLS_SAID


@each(*CONVERSING)
def test_the_tool_loop_reaches_the_model_as_it_was(tried: Tried, served: Served, client: Client, model: str) -> None:
    """Calls and results stand in the last body that the model saw, paired by id and in order."""
    tried(client, model)
    last = served.asked(mark(client, model, "tools"))[-1]["messages"]
    calls = [call for message in last for call in message.get("tool_calls") or ()]
    results = [message for message in last if message["role"] == "tool"]
    assert [call["function"]["name"] for call in calls] == ["get_weather", "get_weather"]
    assert [result["tool_call_id"] for result in results] == [call["id"] for call in calls]
    assert [_text(result["content"]) for result in results] == ["sunny, 21 degrees", "snow"]


@each(OPENAI_PYTHON, ANTHROPIC_2, ANTHROPIC_1, models=("claude",))
def test_signed_thinking_comes_back_to_the_model(tried: Tried, served: Served, client: Client, model: str) -> None:
    """With the calls it led to, as it was; also from a client whose wire has no place for it."""
    assert tried(client, model)["signed_tools"] == TOOLS_SAID
    last = served.exchanges(mark(client, model, "signed_tools"))[-1]["body"]["messages"]
    [assistant] = [message["content"] for message in last if message["role"] == "assistant"]
    assert [block["type"] for block in assistant] == ["thinking", "tool_use", "tool_use"]
    assert (assistant[0]["thinking"], assistant[0]["signature"]) == (THOUGHT, SIGNATURE)


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@each(*ALL)
def test_an_object_by_schema(tried: Tried, client: Client, model: str) -> None:
    """The client's own types, by the wire's structured output; instructor's by its tool."""
    said = tried(client, model)["structured"]
    assert (said["city"] if client is INSTRUCTOR else said) == CITY


@each(*CONVERSING)
def test_the_schema_reaches_the_model(tried: Tried, served: Served, client: Client, model: str) -> None:
    """As the wire's own, not as words in a prompt."""
    tried(client, model)
    [body] = served.asked(mark(client, model, "structured"))
    schema = body["response_format"]["json_schema"]["schema"]
    assert set(schema["properties"]) == set(CITY)
    assert schema["additionalProperties"] is False


@each(*ALL)
def test_a_wrong_key_is_the_clients_own_error(tried: Tried, client: Client, model: str) -> None:
    """401, in the shape that the client makes its class from."""
    assert tried(client, model)["wrong_key"][:2] == [client.denied, 401]


@each(*ALL)
def test_an_unknown_model_is_the_clients_own_error(tried: Tried, client: Client, model: str) -> None:
    """404 likewise."""
    assert tried(client, model)["unknown_model"][:2] == [client.unknown, 404]


@each(*ALL)
def test_no_request_fails_on_the_way(tried: Tried, served: Served, client: Client, model: str) -> None:
    """One attempt each: nothing the client sends is refused by the model, or asked twice."""
    tried(client, model)
    wire = "anthropic_messages" if client.wire == ANTHROPIC else "openai_chat"
    mine = [each for each in served.decisions() if each["model"] == model and each["dialect"] == wire]
    assert mine
    assert {len(each["attempts"]) for each in mine if each["status"] == 200} == {1}
