"""A body that Hearth moved to a server of the same wire is fitted to it; one that a client sent there by name is not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cloud.backend import Account, connect, facts
from cloud.client import CloudClient
from runtime.contract.codec import Fit
from runtime.contract.targets import Capabilities
from runtime.dialects.openai_chat.fitting import fitted_body
from runtime.dialects.openai_chat.message_members import fitted_messages
from runtime.dialects.openai_chat.profile import PLAIN, VLLM, ChatProfile
from runtime.dialects.roles import developer_as_system
from runtime.settings import Escalation
from runtime.wire.raw_body import RawBody
from tests.cloud.anthropic.recorded import NOW
from tests.fakes.box import LEAVE, Box
from tests.fakes.guard import GUARD
from tests.fakes.upstream import FakeBackend, Turn, cloud, engine_backend, told

STRICT = ChatProfile(
    limit="max_completion_tokens",
    sampling=False,
    penalties=False,
    stops=0,
    efforts=("low", "high"),
    members=frozenset(
        {"model", "messages", "max_completion_tokens", "temperature", "stop", "reasoning_effort", "stream"}
    ),
)
BODY = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
ASKED = {
    "max_tokens": 9,
    "temperature": 0.5,
    "stop": ["x"],
    "top_k": 4,
    "chat_template_kwargs": {"enable_thinking": False},
}


def test_the_members_of_a_strict_model() -> None:
    """The limit is renamed, the rest is left out and named."""
    fit = fitted_body(BODY | ASKED, STRICT)
    assert fit.put == {"max_completion_tokens": 9}
    assert fit.dropped == ("temperature", "stop", "top_k", "chat_template_kwargs")
    assert fit.drop == {"max_tokens", *fit.dropped}
    second = fitted_body(BODY | {"min_p": 0.1, "top_p": 0.9, "frequency_penalty": 1, "reasoning_effort": "max"}, STRICT)
    assert second.put == {"reasoning_effort": "high"}
    assert set(second.dropped) == {"min_p", "top_p", "frequency_penalty", "reasoning_effort"}


@pytest.mark.parametrize("profile", [PLAIN, VLLM, replace(STRICT, members=None, sampling=True, stops=4)])
def test_a_body_that_fits_is_untouched(profile: ChatProfile) -> None:
    """No member is lost where the server is not known to refuse it."""
    body: dict[str, Any] = BODY | {
        profile.limit: 9,
        "temperature": 1,
        "stop": "x",
        "top_k": 3,
        "reasoning_effort": None,
    }
    assert fitted_body(body, profile) == Fit()


def test_two_limits_become_the_one_that_the_server_knows() -> None:
    """The newer name wins, as it does between two wires."""
    fit = fitted_body(BODY | {"max_tokens": 5, "max_completion_tokens": 7}, PLAIN)
    assert fit == Fit({"max_tokens": 7}, frozenset({"max_completion_tokens"}))


def test_developer_becomes_system_and_all_else_keeps_its_bytes() -> None:
    """Odd spacing and numbers of other messages survive; a conversation without the role is the same object."""
    raw = b'{"messages": [ {"role":"developer","content":"a \\u00e4","n":1.0},{"role":"user", "content":"b"}],"x":1.50}'
    body = developer_as_system(RawBody(raw), "messages")
    assert body.data["messages"][0] == {"role": "system", "content": "a ä", "n": 1.0}
    assert b'{"role":"user", "content":"b"}' in body.raw and b'"x":1.50' in body.raw and b'"n":1.0' in body.raw
    assert developer_as_system(body, "messages") is body
    for other in ("Hi", [1, "developer"], None):
        same = RawBody(json.dumps({"input": other}).encode())
        assert developer_as_system(same, "input") is same
    item = RawBody(b'{"input":[{"type":"message","role":"developer","content":"a"},{"type":"x"}]}')
    assert developer_as_system(item, "input").data["input"][0]["role"] == "system"


def vendor(name: str, model: str, base_url: str | None = None) -> FakeBackend:
    """A scripted upstream with the facts and the codec of a real provider."""
    account = Account(name, base_url, "key")
    target = facts("first", account, model, None, None)
    codec = connect(CloudClient({}), target, account, GUARD, lambda: NOW).codec
    fake = cloud("first", Turn(told("fine")))
    return replace(fake, target=replace(target, timeouts=fake.target.timeouts), codec=codec)


async def sent(
    backend: FakeBackend, body: dict[str, Any], escalation: Escalation = LEAVE
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body that went up, and what the head names as degraded."""
    box = Box(engine_backend((Turn(told("local")),)), [backend], escalation)
    _, sink = await box.live(box.ask(**BODY | {"stream": True} | body))
    assert sink.text in ("fine", "local") and sink.head is not None
    hop = backend.lanes[0].hop if backend.lanes[0].hop.calls else box.local.lanes[0].hop
    return hop.bodies[0], sink.head.degraded


async def test_a_moved_body_is_fitted_and_a_pinned_one_is_not() -> None:
    """Under `auto` the vendor gets what it takes; by name it gets what the client wrote."""
    moved, named = await sent(vendor("openai", "gpt-6-luna"), ASKED)
    assert moved["max_completion_tokens"] == 9 and not set(ASKED) & set(moved)
    assert {"temperature", "stop", "top_k", "chat_template_kwargs"} <= set(named)
    pinned, named = await sent(vendor("openai", "gpt-6-luna"), ASKED | {"model": "first"})
    assert {name: pinned[name] for name in ASKED} == ASKED and named == ()


@pytest.mark.parametrize(
    ("backend", "role"),
    [
        (vendor("openai", "gpt-6-luna"), "developer"),
        (vendor("openai", "gpt-6-luna", "https://eu.api.openai.com/v1"), "developer"),
        (vendor("openai", "qwen", "http://10.0.0.2:8000/v1"), "system"),
        (vendor("groq", "llama"), "system"),
        (vendor("openrouter", "x/y"), "system"),
        (vendor("deepseek", "deepseek-flash"), "system"),
    ],
    ids=lambda each: each.target.label if isinstance(each, FakeBackend) else each,
)
@pytest.mark.parametrize("model", ["auto", "first"])
async def test_developer_goes_to_openai_alone(backend: FakeBackend, role: str, model: str) -> None:
    """Every other server gets `system`, also where it was named by the client."""
    conversation = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    body, named = await sent(backend, {"messages": conversation, "model": model})
    assert [message["role"] for message in body["messages"]] == [role, "user"] and named == ()


CALLS = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "index": 0}]
HISTORY: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}], "name": "a"},
    {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": CALLS, "annotations": None},
    {"role": "tool", "tool_call_id": "c1", "content": "1"},
    {"role": "assistant", "content": "One.", "reasoning": "So.", "reasoning_details": [{"type": "reasoning.text"}]},
    {"role": "user", "content": "And?"},
]


@pytest.mark.parametrize(("name", "model"), [("openai", "gpt-6-luna"), ("groq", "llama")])
async def test_no_reasoning_of_another_model_goes_to_a_server_that_refuses_it(name: str, model: str) -> None:
    """Messages, calls and parts keep what the vendor's reference lists; any other loss is named."""
    body, named = await sent(vendor(name, model), {"messages": HISTORY})
    (call,) = body["messages"][1]["tool_calls"]
    assert call == {member: CALLS[0][member] for member in ("id", "type", "function")}
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}], "name": "a"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        HISTORY[2],
        {"role": "assistant", "content": "One."},
        HISTORY[4],
    ]
    assert named == ()
    body, named = await sent(vendor(name, model), {"messages": [{**HISTORY[4], "timestamp": 1}]})
    assert body["messages"] == [HISTORY[4]] and named == ("messages",)
    pinned, _ = await sent(vendor(name, model), {"messages": HISTORY, "model": "first"})
    assert pinned["messages"] == HISTORY


@pytest.mark.parametrize(
    ("backend", "names"),
    [
        (vendor("deepseek", "deepseek-flash"), ("reasoning_content", "reasoning_content")),
        (vendor("openrouter", "x/y"), ("reasoning_content", "reasoning")),
        (vendor("together", "x/y"), ("reasoning_content", "reasoning")),
        (vendor("openai", "qwen", "http://10.0.0.2:8000/v1"), ("reasoning_content", "reasoning")),
    ],
    ids=lambda each: each.target.label if isinstance(each, FakeBackend) else None,
)
async def test_reasoning_goes_on_to_servers_that_take_it(backend: FakeBackend, names: tuple[str, str]) -> None:
    """DeepSeek gets it under the one name it knows, every other server that refuses nothing as the client wrote it."""
    body, named = await sent(backend, {"messages": HISTORY})
    assert (body["messages"][1][names[0]], body["messages"][3][names[1]]) == ("Hm.", "So.")
    assert ("reasoning" in body["messages"][3]) is (names[1] == "reasoning") and named == ()


def test_all_other_bytes_of_a_history_stay() -> None:
    """Spacing, escapes and the spelling of numbers survive; a message with a key given twice is the server's to judge."""
    raw = (
        b'{"model": "auto" ,"messages": [{"role":"user", "content":"\\u00e4"},'
        b' {"reasoning":"x", "role":"assistant" ,"content":[ {"type":"text" , "text":"a"}], "n":1.50}], "x": 1.0}'
    )
    body = RawBody(raw)
    fitted = fitted_messages(body, frozenset({"role", "content", "n"}), None)
    assert fitted.raw == raw.replace(b'"reasoning":"x", ', b"").replace(b"}, {", b"},{")
    assert fitted_messages(body, None, "reasoning_content").raw.count(b'"reasoning_content":"x"') == 1
    twice = RawBody(b'{"messages":[{"role":"user","role":"user","reasoning":"x"}]}')
    assert fitted_messages(twice, frozenset({"role"}), None) is twice
    for odd in (b"null", b'"Hi"', b'[1,null,"x",[]]'):
        same = RawBody(b'{"messages":%b}' % odd)
        assert fitted_messages(same, frozenset({"role"}), "reasoning").raw == same.raw


async def test_the_engine_gets_system() -> None:
    """Chat templates raise on a role that they do not know."""
    conversation = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    body, _ = await sent(cloud("first", Turn(told("fine"))), {"messages": conversation, "model": "local"})
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(("name", "dialect"), [("anthropic", "anthropic_messages"), ("openai", "openai_responses")])
def test_sampling_on_other_wires(name: str, dialect: str) -> None:
    """A messages or a responses body keeps its sampling only where the model takes it, or the client named the model."""
    account = Account(name, None, "key")
    refusing = facts("t", account, "m", Capabilities(sampling=False), None)
    codec = connect(CloudClient({}), refusing, account, GUARD, lambda: NOW).codec
    body = {"model": "auto", "temperature": 0.5, "top_p": None}
    assert codec.fit(dialect, body, refusing, pinned=False).dropped == ("temperature",)
    assert codec.fit(dialect, body, refusing, pinned=True).drop == frozenset()
    assert codec.fit(dialect, body, facts("t", account, "m", Capabilities(), None), pinned=False).drop == frozenset()


@pytest.mark.parametrize(
    ("members", "put", "dropped"),
    [
        ({"reasoning": {"effort": "max", "summary": "auto"}}, {"reasoning": {"effort": "xhigh", "summary": "auto"}}, 1),
        ({"reasoning": {"effort": "minimal"}, "max_output_tokens": 5}, {"max_output_tokens": 16}, 2),
        ({"reasoning": {"effort": "low"}, "max_output_tokens": 50}, {}, 0),
        ({"reasoning": [], "max_output_tokens": None}, {}, 0),
    ],
)
def test_efforts_on_the_responses_wire(members: dict[str, Any], put: dict[str, Any], dropped: int) -> None:
    """A moved body asks for the nearest effort that the model has, and for no fewer tokens than OpenAI takes."""
    backend = vendor("openai", "gpt-6.1-sol")
    fit = backend.codec.fit(
        "openai_responses", {"model": "auto", "input": "Hi"} | members, backend.target, pinned=False
    )
    assert {name: fit.put[name] for name in put} == put
    assert len(fit.dropped) == dropped
    pinned = backend.codec.fit("openai_responses", {"model": "first"} | members, backend.target, pinned=True)
    assert pinned.put == {} and pinned.dropped == ()
