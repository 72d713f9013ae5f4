"""A Request as a body for a server of this wire: what it means is kept or refused, what was only wished is named."""

from __future__ import annotations

import json
from dataclasses import replace
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
    Opaque,
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
from runtime.contract.targets import Capabilities
from runtime.dialects.openai_chat.profile import EFFORTS, PLAIN, VLLM, ChatProfile, fitted
from runtime.dialects.openai_chat.read_request import read_request
from runtime.dialects.openai_chat.write_request import write_request
from runtime.wire.raw_body import RawBody

HELLO = Message(Role.USER, (Text("hello"),))
TOOL = Tool("weather", schema={"type": "object"})
CLOCK = Tool("clock")
CALL = ToolCall("c1", "weather", '{"at": "Oslo"}')


def body(request: Request, profile: ChatProfile = PLAIN) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(write_request(request, "served", profile).call.body)
    return found


def messages(*said: Message, profile: ChatProfile = PLAIN) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body(Request("auto", said), profile)["messages"]
    return found


def dropped(profile: ChatProfile = PLAIN, **members: Any) -> tuple[str, ...]:
    return write_request(Request("auto", (HELLO,), **members), "served", profile).dropped


def test_the_call() -> None:
    """Always a stream with usage, to the served model."""
    encoded = write_request(Request("auto", (HELLO,)), "served", PLAIN)
    assert encoded.call.path == "/chat/completions"
    assert json.loads(encoded.call.body) == {
        "model": "served",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_conversation_with_tools() -> None:
    """Results become messages of their own, before what the user says with them; instructions keep their place."""
    said = messages(
        Message(Role.SYSTEM, (Text("be brief"),)),
        HELLO,
        Message(Role.ASSISTANT, (Reasoning("hm", "sig"), Text("Let me "), Text("see."), CALL)),
        Message(Role.USER, (ToolResult("c1", (Text("rain"),)), Text("and now?"))),
        Message(Role.SYSTEM, (Text("be kind"),)),
    )
    assert said == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hello"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"at": "Oslo"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "user", "content": "and now?"},
        {"role": "system", "content": "be kind"},
    ]


def test_late_instructions_where_a_server_takes_none() -> None:
    """They keep their place as the user's, and the change is named."""
    request = Request("auto", (HELLO, Message(Role.SYSTEM, (Text("be kind"),))))
    encoded = write_request(request, "served", replace(PLAIN, late_system=False))
    assert json.loads(encoded.call.body)["messages"][1] == {"role": "user", "content": "be kind"}
    assert encoded.dropped == ("messages",)


def test_the_failure_of_a_tool_is_told_in_its_result() -> None:
    """This wire has no member for it."""
    result = ToolResult("c1", (Text("no such town"),), is_error=True)
    assert messages(Message(Role.USER, (result,)))[0]["content"] == '{"error":"no such town"}'


def test_media_in_a_result_follow_it() -> None:
    """A tool's message is text alone on this wire."""
    image = Media("image", "image/png", data="AAAA")
    said = messages(Message(Role.USER, (ToolResult("c1", (Text("a map"), image)),)))
    assert [each["role"] for each in said] == ["tool", "user"]
    assert said[1]["content"][0]["image_url"]["url"] == "data:image/png;base64,AAAA"


def test_thinking_goes_back_only_where_it_is_wanted() -> None:
    """To servers that ask for it, and to those that ask for it with calls only with calls."""
    plain = Message(Role.ASSISTANT, (Reasoning("hm"), Text("yes")))
    calling = Message(Role.ASSISTANT, (Reasoning("hm"), CALL))
    for profile, want in (
        (PLAIN, [False, False]),
        (replace(PLAIN, echo="reasoning_content"), [False, True]),
        (replace(PLAIN, echo="reasoning_content", echo_turns="all"), [True, True]),
    ):
        said = messages(HELLO, plain, HELLO, calling, profile=profile)
        assert ["reasoning_content" in said[1], "reasoning_content" in said[3]] == want


def test_refusals_and_foreign_blocks_in_history() -> None:
    """A refusal is text where the server knows no refusals; another wire's block is left out and named."""
    turn = Message(Role.ASSISTANT, (Refusal("no"), Opaque("other", {})))
    encoded = write_request(Request("auto", (HELLO, turn)), "served", PLAIN)
    assert json.loads(encoded.call.body)["messages"][1]["content"] == "no"
    assert encoded.dropped == ("messages",)
    assert messages(HELLO, turn, profile=replace(PLAIN, refusals=True))[1]["refusal"] == "no"


@pytest.mark.parametrize(
    ("media", "profile", "want"),
    [
        (
            Media("image", url="https://h/i.png", detail="low"),
            PLAIN,
            {"type": "image_url", "image_url": {"url": "https://h/i.png", "detail": "low"}},
        ),
        (
            Media("audio", "audio/mpeg", data="AAAA"),
            PLAIN,
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        ),
        (
            Media("audio", "audio/ogg", data="AAAA"),
            VLLM,
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "ogg"}},
        ),
        (
            Media("video", "video/mp4", data="AAAA"),
            VLLM,
            {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
        ),
        (Media("document", "text/plain", data="aGk=", name="n"), PLAIN, {"type": "text", "text": "n:\nhi"}),
        (
            Media("document", "application/pdf", data="AAAA", name="a.pdf"),
            replace(PLAIN, files=True),
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
        ),
        (
            Media("document", file_id="f"),
            replace(PLAIN, file_ids=True),
            {"type": "file", "file": {"file_id": "f"}},
        ),
    ],
)
def test_media_as_the_wire_has_them(media: Media, profile: ChatProfile, want: dict[str, Any]) -> None:
    """Data as data URLs, addresses as they are."""
    assert messages(Message(Role.USER, (media,)), profile=profile)[0]["content"] == [want]


@pytest.mark.parametrize(
    "media",
    [
        Media("audio", "audio/ogg", data="AAAA"),
        Media("audio", url="https://h/a.mp3"),
        Media("video", url="https://h/v.mp4"),
        Media("document", "application/pdf", data="AAAA"),
        Media("document", file_id="f"),
        Media("image", file_id="f"),
    ],
)
def test_media_a_server_cannot_take_are_refused(media: Media) -> None:
    """Never sent as something else, never left out."""
    with pytest.raises(Unsupported) as caught:
        messages(Message(Role.USER, (media,)))
    assert caught.value.param == "messages"


def test_tools_and_the_choice_among_them() -> None:
    """A choice without tools means nothing and is not sent."""
    named = body(Request("auto", (HELLO,), (TOOL,), ToolChoice("named", "weather"), parallel_tool_calls=False))
    assert named["tools"] == [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    assert named["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert named["parallel_tool_calls"] is False
    assert "tool_choice" not in body(Request("auto", (HELLO,), tool_choice=ToolChoice("none")))


def test_allowed_tools() -> None:
    """Where the server knows no such choice the others are not offered: what is not there cannot be called."""
    request = Request("auto", (HELLO,), (TOOL, CLOCK), ToolChoice("required", allowed=("clock",)))
    narrowed = body(request)
    assert [tool["function"]["name"] for tool in narrowed["tools"]] == ["clock"]
    assert narrowed["tool_choice"] == "required"
    kept = body(request, replace(PLAIN, allowed_tools=True))
    assert len(kept["tools"]) == 2
    assert kept["tool_choice"]["allowed_tools"]["mode"] == "required"


def test_formats() -> None:
    """A schema goes as one; where the server takes none it is written in words and named."""
    wanted = Format({"type": "object"}, "my answer!", True)
    request = Request("auto", (Message(Role.SYSTEM, (Text("s"),)), HELLO), format=wanted)
    told = body(request)["response_format"]
    assert told == {
        "type": "json_schema",
        "json_schema": {"name": "my_answer_", "schema": {"type": "object"}, "strict": True},
    }
    weak = write_request(request, "served", replace(PLAIN, schema=False))
    weak_body = json.loads(weak.call.body)
    assert weak_body["response_format"] == {"type": "json_object"}
    assert [message["role"] for message in weak_body["messages"]] == ["system", "system", "user"]
    assert weak.dropped == ("response_format",)
    assert "response_format" not in body(request, replace(PLAIN, schema=False, json_mode=False))


@pytest.mark.parametrize(
    ("thinking", "profile", "want", "lost"),
    [
        (Thinking("high"), VLLM, "high", ()),
        (Thinking("high"), PLAIN, None, ("reasoning_effort",)),
        (Thinking("xhigh"), replace(PLAIN, efforts=("low", "medium", "high")), "high", ("reasoning_effort",)),
        (Thinking("minimal"), replace(PLAIN, efforts=("none", "low")), "low", ("reasoning_effort",)),
        (Thinking(budget=5000), VLLM, "medium", ()),
        (Thinking(budget=0), VLLM, "none", ()),
        (Thinking(show=True), VLLM, None, ()),
    ],
)
def test_how_much_to_think(thinking: Thinking, profile: ChatProfile, want: str | None, lost: tuple[str, ...]) -> None:
    """The nearest effort the server knows; a change is named."""
    encoded = write_request(Request("auto", (HELLO,), thinking=thinking), "served", profile)
    assert json.loads(encoded.call.body).get("reasoning_effort") == want
    assert encoded.dropped == lost


def test_hints_a_server_does_not_know_are_named() -> None:
    """Left out, never silently."""
    hints: dict[str, Any] = {"top_k": 5, "verbosity": "low", "metadata": {"a": "b"}, "service_tier": "flex"}
    assert set(dropped(**hints)) == set(hints)
    assert dropped(replace(PLAIN, sampling=False), temperature=1.0, top_p=0.5) == ("temperature", "top_p")


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"n": 2}, "n"),
        ({"stop": tuple("abcde")}, "stop"),
    ],
)
def test_what_changes_the_meaning_is_refused(members: dict[str, Any], param: str) -> None:
    """The parameter is named."""
    with pytest.raises(Unsupported) as caught:
        dropped(**members)
    assert caught.value.param == param


def test_what_only_another_wire_knows() -> None:
    """A tool that another vendor runs is left out and named, and refused if it must be called; so are hints, named alone."""
    search = {"other": {"tools": [{"type": "search"}]}}
    assert dropped(extra=search) == ("tools",)
    for forced in (ToolChoice("required"), ToolChoice("named", "search")):
        with pytest.raises(Unsupported) as caught:
            dropped(extra=search, tool_choice=forced)
        assert caught.value.param == "tools"
    assert dropped(extra={"other": {"diagnostics": {"a": 1}}}) == ("diagnostics",)


def test_members_of_this_wire_alone_pass() -> None:
    """Members without a field in the contract come back unchanged."""
    request = Request("auto", (HELLO,), extra={"openai_chat": {"prompt_cache_key": "k", "tools": [{"type": "search"}]}})
    told = body(request)
    assert told["prompt_cache_key"] == "k"
    assert told["tools"] == [{"type": "search"}]


def test_limits_under_the_servers_own_name() -> None:
    """Two names are in use."""
    request = Request("auto", (HELLO,), max_tokens=9)
    assert body(request)["max_tokens"] == 9
    assert body(request, VLLM)["max_completion_tokens"] == 9


def test_cache_marks_only_where_they_are_known() -> None:
    """Strict servers refuse the member; theirs is the implicit cache."""
    said = Message(Role.USER, (Text("long", Cache("1h")),))
    assert messages(said)[0]["content"] == "long"
    marked = messages(said, profile=replace(PLAIN, marks=True))[0]["content"]
    assert marked == [{"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]


def test_a_profile_narrowed_to_a_model() -> None:
    """A model's capabilities go before its server's profile."""
    can = Capabilities(sampling=False, thinking="level", thinking_levels=("low", "high"), thinking_off="none")
    narrow = fitted(replace(PLAIN, efforts=EFFORTS), can)
    assert narrow.efforts == ("none", "low", "high")
    assert dropped(narrow, temperature=0.1) == ("temperature",)


_WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
_NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
_IMAGES = st.builds(
    Media, st.just("image"), st.just("image/png"), data=st.just("AAAA"), detail=st.none() | st.just("low")
)
_USERS = st.lists(st.builds(Text, _WORDS) | _IMAGES, min_size=1, max_size=3).map(
    lambda parts: [Message(Role.USER, tuple(parts))]
)
_SYSTEMS = st.builds(Text, _WORDS).map(lambda text: [Message(Role.SYSTEM, (text,))])


@st.composite
def _turns(draw: st.DrawFn) -> list[Message]:
    """A turn with calls, and the user's with their results."""
    count = draw(st.integers(0, 3))
    place = draw(st.integers(0, 10**9))
    calls = [ToolCall(f"c{place}_{n}", draw(_NAMES), '{"a": 1}') for n in range(count)]
    thought = [Reasoning(draw(_WORDS))] if draw(st.booleans()) else []
    text = [Text(draw(_WORDS))] if draw(st.booleans()) or not calls else []
    results = tuple(ToolResult(call.id, (Text(draw(_WORDS)),), call.name) for call in calls)
    turn = [Message(Role.ASSISTANT, (*thought, *text, *calls))]
    return turn + ([Message(Role.USER, results)] if results else [])


@settings(deadline=None, max_examples=80)
@given(
    st.lists(_USERS | _SYSTEMS | _turns(), min_size=1, max_size=5),
    st.lists(st.builds(Tool, _NAMES, st.none() | _WORDS, st.none() | st.just({"type": "object"})), max_size=2),
    st.none() | st.builds(Format, st.just({"type": "object"}), _NAMES, st.none() | st.booleans()),
    st.none() | st.sampled_from(EFFORTS).map(Thinking),
    st.lists(_WORDS, max_size=4, unique=True),
)
def test_any_request_survives_a_round_trip(
    turns: list[list[Message]],
    tools: list[Tool],
    wanted: Format | None,
    thinking: Thinking | None,
    stop: list[str],
) -> None:
    """Encoded and decoded again, a request is what it was: nothing that is declared is lost."""
    said = _joined([message for turn in turns for message in turn])
    request = Request(
        "served",
        said,
        tuple(tools),
        format=wanted,
        thinking=thinking,
        stop=tuple(stop),
        stream=True,
        include_usage=True,
    )
    rich = replace(PLAIN, efforts=EFFORTS, echo="reasoning_content", echo_turns="all")
    assert read_request(RawBody(write_request(request, "served", rich).call.body)) == request


def _joined(messages: list[Message]) -> tuple[Message, ...]:
    """Results that follow results stand in one message."""
    out: list[Message] = []
    for message in messages:
        results = all(isinstance(part, ToolResult) for part in message.parts)
        if out and results and all(isinstance(part, ToolResult) for part in out[-1].parts):
            out[-1] = Message(Role.USER, out[-1].parts + message.parts)
        else:
            out.append(message)
    return tuple(out)


@pytest.mark.parametrize(
    ("wanted", "told"), [(None, {}), (0, {"logprobs": True}), (3, {"logprobs": True, "top_logprobs": 3})]
)
def test_log_probabilities_are_asked_for(wanted: int | None, told: dict[str, Any]) -> None:
    """With as many rivals as the client wants."""
    request = Request("auto", (HELLO,), logprobs=wanted)
    assert {name: value for name, value in body(request).items() if "logprobs" in name} == told


def test_log_probabilities_of_a_model_without_them_are_refused() -> None:
    """They are what the request is about."""
    profile = fitted(PLAIN, Capabilities(logprobs=False))
    with pytest.raises(Unsupported) as caught:
        write_request(Request("auto", (HELLO,), logprobs=0), "served", profile)
    assert caught.value.param == "logprobs"
