"""Bodies of the responses wire as requests: the meaning of each item, refusals, and errors in words for garbage."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.contract.codec import Unsupported
from runtime.contract.messages import (
    Format,
    Media,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from runtime.dialects.openai_chat.signatures import Bound, ModelTurn, SignatureCache, call_key
from runtime.dialects.openai_responses.dialect import RESPONSES, ResponsesDialect
from runtime.dialects.openai_responses.signatures import Carried, write_foreign
from runtime.wire.raw_body import BadBody, RawBody

WIRE = "openai_responses"
LOOK = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}


def decoded(by: ResponsesDialect = RESPONSES, **members: Any) -> Request:
    body = RawBody(json.dumps({"model": "auto", "input": "Hi", **members}).encode())
    by.check(body)
    return by.read_request(body)


def parts_of(*items: Any) -> list[tuple[Role, tuple[Part, ...]]]:
    return [(message.role, message.parts) for message in decoded(input=list(items)).messages]


def call(call_id: str = "c1", **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "look", "arguments": '{"q": 1}', **more}


def result(call_id: str = "c1", output: Any = "found") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def test_a_text() -> None:
    """A string is one user message; instructions come before it."""
    request = decoded(instructions="Be brief.", stream=True)
    assert request.messages == (Message(Role.SYSTEM, (Text("Be brief."),)), Message(Role.USER, (Text("Hi"),)))
    assert (request.model, request.stream) == ("auto", True)


def test_settings() -> None:
    """Every setting that other wires know has its place."""
    request = decoded(
        max_output_tokens=50,
        temperature=0.5,
        top_p=0.9,
        parallel_tool_calls=False,
        reasoning={"effort": "high", "summary": "auto"},
        text={"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        metadata={"a": "b"},
        user="u",
        service_tier="flex",
        store=False,
        include=["reasoning.encrypted_content"],
        truncation="disabled",
        stream_options={"include_obfuscation": False},
        hearth={"priority": "batch"},
    )
    assert (request.max_tokens, request.temperature, request.top_p) == (50, 0.5, 0.9)
    assert (request.parallel_tool_calls, request.verbosity, request.user) == (False, "low", "u")
    assert (request.service_tier, request.metadata) == ("flex", {"a": "b"})
    assert request.thinking == Thinking("high", show=True)
    assert request.format == Format({"type": "object"}, "n")
    assert request.extra == {}


def test_members_of_this_wire_alone_are_kept() -> None:
    """Members that the contract lacks are kept for a target that knows them, and named by one that does not."""
    web = {"type": "web_search", "search_context_size": "low"}
    request = decoded(prompt_cache_key="k", truncation="auto", max_tool_calls=3, tools=[LOOK, web], novelty={"x": 1})
    assert request.extra[WIRE] == {
        "prompt_cache_key": "k",
        "truncation": "auto",
        "max_tool_calls": 3,
        "novelty": {"x": 1},
        "tools": [web],
    }
    assert [tool.name for tool in request.tools] == ["look"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("auto", ToolChoice("auto")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "look"}, ToolChoice("named", "look")),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "look"}]},
            ToolChoice("required", allowed=("look",)),
        ),
    ],
)
def test_tool_choices(given: Any, meant: ToolChoice) -> None:
    """The flat forms of this wire."""
    assert decoded(tools=[LOOK], tool_choice=given).tool_choice == meant


def test_a_turn_of_the_model_is_one_message() -> None:
    """Reasoning, text and calls in their order; results of calls together; the next user message by itself."""
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]}
    found = parts_of(
        {"role": "user", "content": "Look."},
        reasoning,
        said,
        call("c1"),
        call("c2"),
        result("c1"),
        result("c2", [{"type": "input_text", "text": "two"}]),
        {"role": "user", "content": [{"type": "input_text", "text": "And?"}]},
    )
    assert found == [
        (Role.USER, (Text("Look."),)),
        (
            Role.ASSISTANT,
            (
                Reasoning("Hm.", extra={WIRE: reasoning}),
                Text("I look."),
                ToolCall("c1", "look", '{"q": 1}'),
                ToolCall("c2", "look", '{"q": 1}'),
            ),
        ),
        (Role.USER, (ToolResult("c1", (Text("found"),), "look"), ToolResult("c2", (Text("two"),), "look"))),
        (Role.USER, (Text("And?"),)),
    ]


def test_instructions_keep_their_place() -> None:
    """A developer message in the middle of a conversation stays there."""
    roles = [role for role, _ in parts_of({"role": "user", "content": "a"}, {"role": "developer", "content": "b"})]
    assert roles == [Role.USER, Role.SYSTEM]


@pytest.mark.parametrize(
    ("part", "meant"),
    [
        (
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
            Media("image", "image/png", data="AAAA", detail="low"),
        ),
        ({"type": "input_image", "image_url": "https://x/y.png"}, Media("image", url="https://x/y.png")),
        ({"type": "input_image", "file_id": "f"}, Media("image", file_id="f")),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
            Media("document", "application/pdf", data="AAAA", name="a.pdf"),
        ),
        (
            {"type": "input_file", "file_url": "https://x/a.pdf"},
            Media("document", "application/pdf", url="https://x/a.pdf"),
        ),
        ({"type": "input_file", "file_id": "f"}, Media("document", file_id="f")),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            Media("audio", "audio/mp3", data="AAAA"),
        ),
        ({"type": "refusal", "refusal": "no"}, Refusal("no")),
    ],
)
def test_parts(part: dict[str, Any], meant: Part) -> None:
    """Each kind of content."""
    assert parts_of({"role": "user", "content": [part]}) == [(Role.USER, (meant,))]


def test_items_of_a_vendors_own_stay_opaque() -> None:
    """They keep their place, for a target that knows them."""
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    assert parts_of({"role": "user", "content": "a"}, item)[1] == (Role.ASSISTANT, (Opaque(WIRE, item),))


def test_a_custom_tool_is_a_function_of_one_text() -> None:
    """So that other wires can call it, and its earlier calls and results have a form there."""
    used = {"type": "custom_tool_call", "call_id": "c", "name": "write", "input": "a\nb"}
    back = {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"}
    request = decoded(tools=[{"type": "custom", "name": "write"}], input=[used, back])
    assert request.tools[0].schema["required"] == ["input"]
    made, answered = (message.parts[0] for message in request.messages)
    assert isinstance(made, ToolCall)
    assert json.loads(made.arguments) == {"input": "a\nb"}
    assert answered == ToolResult("c", (Text("ok"),), "write")


def test_what_other_models_signed_comes_back() -> None:
    """Signatures of thinking and of calls, redacted thinking and foreign blocks, with the model that made them."""
    carried = [
        {"type": "reasoning", "id": "rs", "summary": [{"text": "Hm."}], "encrypted_content": write_foreign(sealed)}
        for sealed in (
            Carried(model="m", signature="s"),
            Carried(model="m", redacted="r"),
            Carried(model="m", wire="other", value={"n": 1}),
            Carried(model="m", signature="t", call_id="c1"),
        )
    ]
    ((_, parts),) = parts_of(*carried, call("c1"))
    maker = {"hearth": {"model": "m"}}
    assert parts == (
        Reasoning("Hm.", "s", extra=maker),
        Reasoning("Hm.", None, "r", extra=maker),
        Opaque("other", {"n": 1}),
        ToolCall("c1", "look", '{"q": 1}', "t", extra=maker),
    )


def test_what_a_client_did_not_give_back_is_remembered() -> None:
    """By the ids of the turn's calls."""
    signatures = SignatureCache()
    turn = ModelTurn("m", (Bound(Reasoning("Hm.", "s")),), {"c1": "t"})
    signatures.remember([call_key("c1")], turn)
    request = decoded(ResponsesDialect(signatures=signatures), input=[call("c1")])
    thought, made = request.messages[0].parts
    assert isinstance(thought, Reasoning)
    assert isinstance(made, ToolCall)
    assert (thought.signature, made.signature) == ("s", "t")


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"input": []}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "image"}]}]}, "input[0].content[0].type"),
        ({"input": [{"type": "function_call_output", "call_id": "z", "output": "x"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call", "call_id": "z", "name": "f", "arguments": "{"}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call", "call_id": "z", "name": "f", "arguments": "[]"}]}, "input[0].arguments"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].id"),
        ({"input": [{"type": 5}]}, "input[0].type"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"tools": [{"name": "x"}]}, "tools[0].type"),
        ({"tools": [LOOK], "tool_choice": {"type": "function", "name": "other"}}, "tool_choice.name"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"background": True}, "background"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_a_wrong_member_is_refused_with_its_place(members: dict[str, Any], place: str) -> None:
    """The error names the member."""
    with pytest.raises(BadBody) as told:
        decoded(**members)
    assert told.value.place == place


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
    ],
)
def test_what_only_the_vendor_can_do_is_refused(members: dict[str, Any], param: str) -> None:
    """For any target of another wire."""
    with pytest.raises(Unsupported) as told:
        decoded(**members)
    assert told.value.param == param


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["message", "reasoning", "function_call", "function_call_output", "item_reference", "x"]
        )
        | JSON,
        "role": st.sampled_from(["user", "assistant", "system"]) | JSON,
        "content": JSON
        | st.lists(
            st.fixed_dictionaries({"type": st.sampled_from(["input_text", "input_file", "input_image"]) | JSON})
        ),
        "summary": JSON,
        "encrypted_content": JSON | st.just("hearth:{}") | st.just("hearth:x"),
        "call_id": JSON,
        "name": JSON,
        "arguments": JSON,
        "output": JSON,
        "id": JSON,
    },
)


@given(st.lists(ITEMS | JSON, max_size=4) | JSON, JSON, JSON, JSON)
@settings(max_examples=100, deadline=None)
def test_garbage_is_refused(given_input: Any, tools: Any, text: Any, reasoning: Any) -> None:
    """Whatever a client sends is read or refused in words."""
    body = {"input": given_input, "tools": tools, "text": text, "reasoning": reasoning, "tool_choice": text}
    raw = RawBody(json.dumps(body).encode())
    try:
        RESPONSES.check(raw)
        RESPONSES.read_request(raw)
    except (BadBody, Unsupported) as told:
        assert str(told)
