"""A client's chat body as a Request: members are kept, faults are raised with their place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.contract.codec import Unsupported
from runtime.contract.messages import (
    Cache,
    Format,
    Media,
    Message,
    Reasoning,
    Refusal,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from runtime.dialects.openai_chat.read_request import read_request
from runtime.wire.raw_body import BadBody, RawBody

HELLO = {"role": "user", "content": "hello"}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"at": "Oslo"}'}}


def read(*messages: Any, **members: Any) -> Request:
    return read_request(RawBody(json.dumps({"model": "auto", "messages": messages or [HELLO]} | members).encode()))


def parts(content: Any, role: str = "user") -> tuple[Any, ...]:
    return read({"role": role, "content": content}).messages[0].parts


def test_every_role_keeps_its_place() -> None:
    """Instructions in the middle of a conversation stay there."""
    said = [
        {"role": "system", "content": "one"},
        HELLO,
        {"role": "developer", "content": "two"},
        {"role": "assistant", "content": "hi"},
    ]
    assert [message.role for message in read(*said).messages] == [Role.SYSTEM, Role.USER, Role.SYSTEM, Role.ASSISTANT]


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ({"role": "robot", "content": "x"}, "messages[0].role"),
        ({"role": "user", "content": None}, "messages[0].content"),
        ({"role": "user", "content": 7}, "messages[0].content"),
        ({"role": "user", "content": [{"type": "hologram"}]}, "messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "messages[0].content[0].image_url.url"),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "messages[0].content[0].file"),
        ({"role": "tool", "tool_call_id": "no", "content": "x"}, "messages[0].tool_call_id"),
        ({"role": "function", "name": "no", "content": "x"}, "messages[0].name"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "function": {}}]}, "messages[0].tool_calls[0].function.name"),
        ("hello", "messages[0]"),
    ],
)
def test_what_is_wrong_with_a_message_is_told_with_its_place(message: Any, place: str) -> None:
    """Nothing is guessed, nothing crashes."""
    with pytest.raises(BadBody) as caught:
        read(message)
    assert caught.value.place == place


@pytest.mark.parametrize("arguments", ["{", "[1]", '"x"', "{'a': 1}"])
def test_arguments_that_are_no_json_object_are_told_with_their_place(arguments: str) -> None:
    """A client's mistake is its own 400, not a crash and not a vendor's."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    with pytest.raises(BadBody) as caught:
        read(HELLO, {"role": "assistant", "tool_calls": [call, CALL]})
    assert caught.value.place == "messages[1].tool_calls[0].function.arguments"


@pytest.mark.parametrize("arguments", ["", None, "  "])
def test_no_arguments_are_an_empty_object(arguments: str | None) -> None:
    """A call without arguments is a call of a function without parameters."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    (part,) = read({"role": "assistant", "content": None, "tool_calls": [call]}).messages[0].parts
    assert part == ToolCall("c", "f", "{}")


def test_arguments_keep_their_spelling() -> None:
    """Prompt caches hold only where the same call has the same bytes."""
    (part,) = read({"role": "assistant", "tool_calls": [CALL]}).messages[0].parts
    assert isinstance(part, ToolCall)
    assert part.arguments == '{"at": "Oslo"}'


def test_results_that_follow_each_other_stand_in_one_message_and_know_their_tool() -> None:
    """Other wires want all results of a turn together, and the tool's name with them."""
    second = {"id": "c2", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    request = read(
        HELLO,
        {"role": "assistant", "tool_calls": [CALL, second]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "noon"}]},
        HELLO,
    )
    assert request.messages[2] == Message(
        Role.USER, (ToolResult("c1", (Text("rain"),), "weather"), ToolResult("c2", (Text("noon"),), "clock"))
    )
    assert len(request.messages) == 4


def test_the_old_spelling_of_calls_is_understood() -> None:
    """`functions`, `function_call` and the role `function` become tools, a call and its result."""
    request = read(
        HELLO,
        {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": ""}},
        {"role": "function", "name": "weather", "content": "rain"},
        functions=[{"name": "weather", "parameters": {"type": "object"}}],
        function_call={"name": "weather"},
    )
    (call,) = request.messages[1].parts
    assert isinstance(call, ToolCall)
    assert request.messages[2].parts == (ToolResult(call.id, (Text("rain"),), "weather"),)
    assert request.tool_choice == ToolChoice("named", "weather")
    assert request.parallel_tool_calls is False
    assert [tool.name for tool in request.tools] == ["weather"]


@pytest.mark.parametrize(
    ("part", "want"),
    [
        ({"type": "text", "text": "a"}, Text("a")),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            Media("image", "image/png", data="AAAA", detail="low"),
        ),
        ({"type": "image_url", "image_url": "https://h/i.png"}, Media("image", url="https://h/i.png")),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            Media("audio", "audio/mp3", data="AAAA"),
        ),
        ({"type": "video_url", "video_url": {"url": "https://h/v"}}, Media("video", url="https://h/v")),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
            Media("document", "application/pdf", data="JVBERi0=", name="a.pdf"),
        ),
        (
            {"type": "file", "file": {"file_data": "JVBERi0xLjQ="}},
            Media("document", "application/pdf", data="JVBERi0xLjQ="),
        ),
        (
            {"type": "file", "file": {"filename": "v.mp4", "file_data": "data:video/mp4;base64,AAAA"}},
            Media("video", "video/mp4", data="AAAA", name="v.mp4"),
        ),
        (
            {"type": "file", "file": {"filename": "n.txt", "file_data": "data:,hi%20there"}},
            Media("document", "text/plain", data="aGkgdGhlcmU=", name="n.txt"),
        ),
        ({"type": "file", "file": {"file_id": "file-1"}}, Media("document", file_id="file-1")),
        (
            {"type": "file", "file": {"file_url": "https://h/a.pdf?x=1"}},
            Media("document", "application/pdf", url="https://h/a.pdf?x=1"),
        ),
        (
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            Text("a", Cache("1h")),
        ),
        (
            {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
            Text("a", Cache(), {"openai_chat": {"prompt_cache_breakpoint": {"mode": "explicit"}}}),
        ),
    ],
)
def test_every_part_a_client_may_send(part: dict[str, Any], want: Any) -> None:
    """Standard parts and the extensions in common use."""
    assert parts([part]) == (want,)


def test_empty_texts_are_nothing() -> None:
    """Other wires refuse an empty block."""
    assert parts([{"type": "text", "text": ""}, {"type": "text", "text": "a"}]) == (Text("a"),)
    assert parts("", "assistant") == ()


def test_a_mark_on_a_message_is_one_on_its_last_part() -> None:
    """Some clients ask for caching message by message."""
    message = {"role": "user", "content": "long", "cache_control": {"type": "ephemeral"}}
    assert read(message).messages[0].parts == (Text("long", Cache()),)


def test_refusals_come_back_and_annotations_are_dropped() -> None:
    """Members that a client echoes beside the text are no part of the conversation."""
    said = {"role": "assistant", "content": None, "refusal": "no", "annotations": [{"type": "x"}], "audio": {"id": "a"}}
    assert read(HELLO, said).messages[1].parts == (Refusal("no"),)


@pytest.mark.parametrize(
    "members",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "hm"}]},
    ],
)
def test_thinking_that_a_client_gives_back_stands_before_the_words(members: dict[str, Any]) -> None:
    """Whatever the client calls it."""
    said = {"role": "assistant", "content": "hi"} | members
    assert read(HELLO, said).messages[1].parts == (Reasoning("hm"), Text("hi"))


def test_signed_thinking_keeps_its_signature() -> None:
    """Details with a signature win over the plain text beside them."""
    details = [{"type": "reasoning.text", "text": "hm", "signature": "s"}, {"type": "reasoning.encrypted", "data": "d"}]
    said = {"role": "assistant", "content": "hi", "reasoning": "hm", "reasoning_details": details}
    assert read(HELLO, said).messages[1].parts[:2] == (Reasoning("hm", "s"), Reasoning(redacted="d"))


def test_a_calls_signature_comes_back() -> None:
    """Under whichever name space its vendor gave it."""
    call = CALL | {"extra_content": {"vendor": {"thought_signature": "s"}}}
    (part,) = read({"role": "assistant", "tool_calls": [call]}).messages[0].parts
    assert isinstance(part, ToolCall)
    assert part.signature == "s"


def test_members_of_the_body() -> None:
    """Each is read into its field; the newer limit wins."""
    request = read(
        max_tokens=5,
        max_completion_tokens=7,
        temperature=0,
        top_p=0.5,
        top_k=3,
        stop="END",
        n=2,
        seed=1,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logprobs=True,
        top_logprobs=4,
        logit_bias={"5": -100},
        reasoning_effort="high",
        verbosity="low",
        user="u",
        service_tier="flex",
        metadata={"a": "b"},
        stream=True,
        stream_options={"include_usage": True},
        parallel_tool_calls=False,
    )
    want = Request(
        "auto",
        (Message(Role.USER, (Text("hello"),)),),
        parallel_tool_calls=False,
        max_tokens=7,
        temperature=0,
        top_p=0.5,
        top_k=3,
        stop=("END",),
        n=2,
        seed=1,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logprobs=4,
        logit_bias={"5": -100},
        thinking=Thinking("high"),
        verbosity="low",
        user="u",
        service_tier="flex",
        metadata={"a": "b"},
        stream=True,
        include_usage=True,
    )
    assert request == want


def test_null_is_not_said() -> None:
    """SDKs send null for what was left out."""
    nulls = dict.fromkeys(("temperature", "stop", "n", "tools", "tool_choice", "response_format", "user", "store"))
    assert read(**nulls) == read()


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"stop": [1]}, "stop"),
        ({"logit_bias": {"5": "x"}}, "logit_bias.5"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"stream": "yes"}, "stream"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "no"}}, "tools": [WEATHER]},
            "tool_choice.function.name",
        ),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"messages": []}, "messages"),
    ],
)
def test_what_is_wrong_with_a_member_is_told_with_its_place(members: dict[str, Any], place: str) -> None:
    """The client's own mistake, in words, before any vendor is asked."""
    with pytest.raises(BadBody) as caught:
        read(**members)
    assert caught.value.place == place


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"tool_choice": {"type": "web_search"}, "tools": [WEATHER]}, "tool_choice"),
        ({"response_format": {"type": "grammar", "grammar": "x"}}, "response_format"),
    ],
)
def test_what_only_one_wire_can_say_is_refused_for_others(members: dict[str, Any], param: str) -> None:
    """The caller learns which parameter, and another candidate may still do it."""
    with pytest.raises(Unsupported) as caught:
        read(**members)
    assert caught.value.param == param


def test_tools_and_their_choice() -> None:
    """Functions are tools; what is none is a vendor's own and kept as written."""
    search = {"type": "web_search_20250305", "name": "web_search"}
    marked = WEATHER | {"cache_control": {"type": "ephemeral"}, "lazy": True}
    request = read(tools=[marked, search, {"url_context": {}}], tool_choice="required")
    assert request.tools == (
        Tool("weather", schema={"type": "object"}, cache=Cache(), extra={"openai_chat": {"lazy": True}}),
    )
    assert request.extra == {"openai_chat": {"tools": [search, {"url_context": {}}]}}
    assert request.tool_choice == ToolChoice("required")


def test_allowed_tools_narrow_the_choice() -> None:
    """The list of tools stays whole, so that its prefix stays cached."""
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "weather"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    assert read(tools=[WEATHER], tool_choice=choice).tool_choice == ToolChoice("auto", allowed=("weather",))


def test_formats_of_the_answer() -> None:
    """Text is no format; an object without a schema is any object."""
    schema = {"type": "object", "properties": {"a": {}}}
    named = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    assert read(response_format={"type": "text"}).format is None
    assert read(response_format={"type": "json_object"}).format == Format()
    assert read(response_format=named).format == Format(schema, "n", True)


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ({"effort": "low"}, Thinking("low")),
        ({"max_tokens": 2000}, Thinking(budget=2000)),
        ({"enabled": True}, Thinking("medium")),
        ({"enabled": False}, Thinking("none")),
        ({"effort": "high", "exclude": True}, Thinking("high", show=False)),
    ],
)
def test_the_reasoning_object(said: dict[str, Any], want: Thinking) -> None:
    """The spelling that several servers of this wire take."""
    assert read(reasoning=said).thinking == want


def test_unknown_members_are_kept_for_codecs_and_hints_are_not() -> None:
    """An SDK's `extra_body` reaches whoever knows the member; our own hints go no further."""
    request = read(thinking={"type": "adaptive"}, prompt_cache_key="k", hearth={"session": "s"})
    assert request.extra == {"openai_chat": {"thinking": {"type": "adaptive"}, "prompt_cache_key": "k"}}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)
_ROLE = st.sampled_from(("system", "user", "assistant", "tool", "function"))
_PART = st.fixed_dictionaries(
    {"type": st.sampled_from(("text", "image_url", "input_audio", "file", "video_url", "refusal"))},
    optional=dict.fromkeys(("text", "image_url", "input_audio", "file", "cache_control", "refusal"), _JSON)
    | {"file": st.fixed_dictionaries({"file_data": st.text(max_size=6).map(lambda text: f"data:{text}")})},
)
_INNER = st.fixed_dictionaries({"name": st.just("f") | _JSON, "arguments": st.just("{}") | _JSON})
_CALL = st.fixed_dictionaries({"id": st.just("c") | _JSON, "function": _INNER}, optional={"extra_content": _JSON})
_MESSAGE = st.fixed_dictionaries(
    {"role": _ROLE, "content": st.text(max_size=4) | st.lists(_PART, max_size=2) | _JSON},
    optional={
        "tool_calls": st.lists(_CALL, max_size=2) | _JSON,
        "function_call": _INNER | _JSON,
        "tool_call_id": st.just("c") | _JSON,
        "name": st.just("f") | _JSON,
        "extra_content": _JSON | st.fixed_dictionaries({"hearth": st.fixed_dictionaries({"parts": st.lists(_JSON)})}),
        "reasoning_details": _JSON,
        "thinking_blocks": _JSON,
    },
)
_MEMBERS = ("tools", "tool_choice", "response_format", "reasoning", "stop", "logit_bias", "metadata", "stream_options")


@settings(deadline=None, max_examples=150)
@given(st.lists(_MESSAGE | _JSON, max_size=4), st.dictionaries(st.sampled_from(_MEMBERS), _JSON, max_size=2))
def test_any_body_is_read_or_refused(messages: list[Any], members: dict[str, Any]) -> None:
    """A client's body never ends in anything but a Request or a reason with words."""
    body = RawBody(json.dumps({"messages": messages} | members).encode())
    try:
        read_request(body)
    except (BadBody, Unsupported) as error:
        assert str(error)


@pytest.mark.parametrize("kind", [[], {}, None, 5])
def test_a_part_whose_type_is_no_text_is_refused_with_its_place(kind: object) -> None:
    """A list is no key of a table."""
    raw = {"model": "auto", "messages": [{"role": "user", "content": [{"type": kind}]}]}
    with pytest.raises(BadBody) as refused:
        read_request(RawBody(json.dumps(raw).encode()))
    assert refused.value.place == "messages[0].content[0].type"
