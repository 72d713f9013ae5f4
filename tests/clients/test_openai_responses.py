"""The responses wire as OpenAI's own clients speak it, to targets of which none speaks it itself."""

from __future__ import annotations

from tests.clients.clients import MODELS, OPENAI_NODE, OPENAI_PYTHON, Client, each
from tests.clients.conftest import Tried
from tests.clients.serving import Served
from tests.clients.test_every_client import CITY, TOKENS, TOOLS_SAID, mark
from tests.fakes.script import PLAIN, THOUGHT
from tests.fakes.scripted_messages import SIGNATURE

BOTH = (OPENAI_PYTHON, OPENAI_NODE)
EVERY = (*MODELS, "gemini")


@each(*BOTH, models=EVERY)
def test_a_whole_response_with_its_usage(tried: Tried, client: Client, model: str) -> None:
    """Text, status and tokens, those from a cache too."""
    assert tried(client, model)["responses_whole"] == {"text": PLAIN, "status": "completed", "usage": TOKENS}


@each(*BOTH, models=EVERY)
def test_a_streamed_response(tried: Tried, client: Client, model: str) -> None:
    """Through the client's own helper: its pieces are the whole, and it ends as it should."""
    said = tried(client, model)["responses_stream"]
    assert said.pop("pieces") > 1
    assert said == {"text": PLAIN, "whole": True, "last": "response.completed"}


@each(OPENAI_PYTHON, models=EVERY)
def test_reasoning_is_an_item_of_its_own(tried: Tried, client: Client, model: str) -> None:
    """With a summary of what was thought."""
    assert tried(client, model)["responses_reasoning"] == [THOUGHT, PLAIN]


@each(*BOTH, models=EVERY)
def test_a_tool_loop_without_state(tried: Tried, served: Served, client: Client, model: str) -> None:
    """The client gives every item back; the model sees calls and results paired by id, and its signed thinking."""
    assert tried(client, model)["responses_tools"] == TOOLS_SAID
    last = served.asked(mark(client, model, "responses_tools"))[-1]["messages"]
    calls = [call["id"] for message in last for call in message.get("tool_calls") or ()]
    assert len(calls) == 2
    assert [message["tool_call_id"] for message in last if message["role"] == "tool"] == calls
    if model == "claude":
        body = served.exchanges(mark(client, model, "responses_tools"))[-1]["body"]
        [assistant] = [message["content"] for message in body["messages"] if message["role"] == "assistant"]
        assert (assistant[0]["thinking"], assistant[0]["signature"]) == (THOUGHT, SIGNATURE)


@each(*BOTH, models=EVERY)
def test_a_tool_loop_that_names_its_predecessor(tried: Tried, client: Client, model: str) -> None:
    """Streamed: only the results are sent, what came before is kept here."""
    assert tried(client, model)["responses_tools_streamed"] == TOOLS_SAID


@each(*BOTH, models=EVERY)
def test_a_conversation_that_is_kept_here(tried: Tried, served: Served, client: Client, model: str) -> None:
    """Of the third turn the model sees all three, and the instructions of that turn alone."""
    assert tried(client, model)["responses_going_on"] == [PLAIN, True]
    last = served.asked(mark(client, model, "responses_going_on"))[-1]["messages"]
    assert [message["role"] for message in last] == ["system", *(["user", "assistant"] * 2), "user"]


@each(*BOTH, models=EVERY)
def test_an_object_by_schema(tried: Tried, client: Client, model: str) -> None:
    """The client's own type."""
    assert tried(client, model)["responses_structured"] == CITY


@each(OPENAI_PYTHON, models=EVERY)
def test_an_object_by_schema_streamed(tried: Tried, client: Client, model: str) -> None:
    """The same in pieces."""
    assert tried(client, model)["responses_structured_streamed"] == CITY


@each(*BOTH, models=EVERY)
def test_what_is_kept_is_given_listed_and_forgotten(tried: Tried, client: Client, model: str) -> None:
    """Its input over all turns; nothing can be cancelled; once forgotten it is nowhere."""
    assert tried(client, model)["responses_kept"] == {
        "same": True,
        "roles": ["user", "assistant", "user"],
        "refused": ["BadRequestError", 400, "invalid_request"],
        "gone": ["NotFoundError", 404, "not_found"],
        "gone_on": ["BadRequestError", 400, "previous_response_not_found"],
    }


@each(OPENAI_PYTHON, models=EVERY)
def test_what_is_not_to_be_stored_is_not(tried: Tried, client: Client, model: str) -> None:
    """`store: false`."""
    assert tried(client, model)["responses_unkept"] == ["NotFoundError", 404, "not_found"]
