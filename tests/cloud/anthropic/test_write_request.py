"""Requests become bodies the vendor takes; a loss is refused or named."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from cloud.anthropic import signatures
from cloud.anthropic.codec import AnthropicCodec
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
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tests.cloud.anthropic.recorded import NOW, codec, target
from tests.cloud.turns import model, system, user

NEW, OLD, MIDDLE = "claude-sonnet-5-5", "claude-haiku-4-5", "claude-sonnet-4-6"
TOOL = Tool("look", "Looks.", {"type": "object", "properties": {"at": {"type": "string"}}})
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def ask(*messages: Message, **more: Any) -> Request:
    return Request("any", messages or (user("hi"),), **more)


def body(request: Request, name: str = NEW) -> dict[str, Any]:
    out: dict[str, Any] = json.loads(codec().encode(request, target(name)).call.body)
    return out


def dropped(request: Request, name: str = NEW) -> tuple[str, ...]:
    return codec().encode(request, target(name)).dropped


def header(request: Request, name: str = NEW) -> dict[str, str]:
    return dict(codec().encode(request, target(name)).call.headers)


def roles(request: Request, name: str = NEW) -> list[str]:
    return [turn["role"] for turn in body(request, name)["messages"]]


def said(turn: dict[str, Any]) -> str:
    return " | ".join(block.get("text", block["type"]) for block in turn["content"])


# ---------------------------------------------------------------- turns


def test_instructions_at_the_head_are_the_system_prompt() -> None:
    """All of them, in order, as blocks."""
    out = body(ask(system("a"), system("b"), user("hi")))
    assert [block["text"] for block in out["system"]] == ["a", "b"]
    assert roles(ask(system("a"), user("hi"))) == ["user"]


def test_a_later_instruction_keeps_its_place_where_the_model_takes_it() -> None:
    """Right behind a user's turn, at the end or before the model's."""
    talk = (user("1"), system("s"), model("2"), user("3"), system("t"))
    assert roles(ask(*talk)) == ["user", "system", "assistant", "user", "system"]


def test_a_later_instruction_is_said_by_the_user_where_the_wire_takes_none() -> None:
    """Before a user's text, or on a model without such messages, it is text at its place."""
    before_user = body(ask(user("1"), model("2"), system("s"), user("3")))
    assert said(before_user["messages"][-1]) == "s | 3"
    assert said(body(ask(user("1"), system("s")), OLD)["messages"][0]) == "1 | s"


def test_a_later_instruction_with_no_user_turn_around_is_said_by_the_user() -> None:
    """Between two turns of the model there is no user's turn to follow."""
    out = body(ask(user("1"), model("2"), system("s"), model("3"), user("4")))
    assert [turn["role"] for turn in out["messages"]] == ["user", "assistant", "user", "assistant", "user"]


def test_instructions_alone_are_given_a_turn_to_answer() -> None:
    """The wire requires a user's turn first, also for a history that opens with the model's."""
    assert roles(ask(system("Write a haiku."))) == ["user"]
    assert roles(ask(model("hello"), user("hi"))) == ["user", "assistant", "user"]


def test_turns_of_one_side_are_one_turn() -> None:
    """Consecutive messages are joined; empty ones are left out."""
    assert roles(ask(user("a"), user(""), model(" "), user("b"), model("c"), model("d"), user("e"))) == [
        "user",
        "assistant",
        "user",
    ]


def test_results_come_first_and_all_in_one_turn() -> None:
    """Whatever the order in which the client gave results and words."""
    calls = model(ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}"))
    talk = (user("go"), calls, user(ToolResult("a", (Text("1"),))), user("more"), user(ToolResult("b", (Text("2"),))))
    turn = body(ask(*talk, tools=(TOOL,)))["messages"][-1]
    assert [block["type"] for block in turn["content"]] == ["tool_result", "tool_result", "text"]


@pytest.mark.parametrize(
    "talk",
    [
        (user("go"), model(ToolCall("a", "look", "{}"))),
        (user("go"), model(ToolCall("a", "look", "{}")), user("never mind")),
        (user("go"), user(ToolResult("a", (Text("1"),)))),
        (user("go"), model(ToolCall("a", "look", "{}")), user(ToolResult("a", ()), ToolResult("a", ()))),
    ],
)
def test_calls_and_results_that_do_not_pair_up_are_refused(talk: tuple[Message, ...]) -> None:
    """The refusal comes before the vendor's own."""
    with pytest.raises(Unsupported, match="'a'"):
        body(ask(*talk, tools=(TOOL,)))


def test_a_model_that_takes_a_prefill_goes_on_with_it() -> None:
    """Without the spaces at its end, which the wire refuses."""
    out = body(ask(user("hi"), model("Well, ")), OLD)
    assert out["messages"][-1] == {"role": "assistant", "content": [{"type": "text", "text": "Well,"}]}


def test_a_model_that_takes_no_prefill_is_asked_to_go_on() -> None:
    """The change of the messages is named."""
    request = ask(user("hi"), model("Well"))
    assert roles(request) == ["user", "assistant", "user"]
    assert dropped(request) == ("messages",)


def test_a_continuation_asked_for_by_name_is_refused_where_there_is_none() -> None:
    """A new turn would be another request."""
    request = ask(user("hi"), model("Well"), extra={"openai_chat": {"continue_final_message": True}})
    with pytest.raises(Unsupported) as caught:
        body(request)
    assert caught.value.param == "continue_final_message"


def test_a_refusal_in_the_history_is_what_the_model_said() -> None:
    """The wire has no other place for it."""
    assert said(body(ask(user("x"), model(Refusal("No.")), user("y")))["messages"][1]) == "No."


# ---------------------------------------------------------------- thinking that comes home


def test_thinking_goes_back_to_the_model_that_made_it() -> None:
    """Unmodified; a date at the end of the model's name is the same model."""
    thought = Reasoning("hm", signatures.marked("SIG", "claude-haiku-4-5-20251001"))
    hidden = Reasoning(redacted=signatures.marked("XYZ", "claude-haiku-4-5"))
    turn = body(ask(user("a"), model(thought, hidden, "b"), user("c")), OLD)["messages"][1]
    assert turn["content"][:2] == [
        {"type": "thinking", "thinking": "hm", "signature": "SIG"},
        {"type": "redacted_thinking", "data": "XYZ"},
    ]


@pytest.mark.parametrize("seal", [None, "foreign", signatures.marked("SIG", "claude-opus-5-5"), "gemini#SIG"])
def test_thinking_of_another_model_stays_behind(seal: str | None) -> None:
    """The vendor refuses a signature of another model."""
    turn = body(ask(user("a"), model(Reasoning("hm", seal), "b"), user("c")))["messages"][1]
    assert [block["type"] for block in turn["content"]] == ["text"]


def test_blocks_of_this_wire_go_back_as_they_came_and_others_are_named() -> None:
    """A server tool's call has no meaning for another vendor."""
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    assert body(ask(user("a"), model(Opaque("anthropic_messages", block)), user("c")))["messages"][1]["content"] == [
        block
    ]
    assert dropped(ask(user("a"), model(Opaque("gemini", {}), "b"), user("c"))) == ("messages",)


def test_thinking_behind_a_changed_conversation_costs_no_answer() -> None:
    """Models that bind thinking to the turns before it are asked to leave it out; with thinking off it is not sent."""
    thought = Reasoning("hm", signatures.marked("SIG", "claude-haiku-5-5"))
    talk = (user("a"), model(thought, "b"), user("c"))
    out = body(ask(*talk), "claude-haiku-5-5")
    assert out["thinking"]["block_binding"] == {"prefix_mismatch_behavior": "drop_block"}
    assert header(ask(*talk), "claude-haiku-5-5")["anthropic-beta"] == "thinking-binding-controls-2026-08-01"
    off = body(ask(*talk, thinking=Thinking("none")), "claude-haiku-5-5")
    assert [block["type"] for block in off["messages"][1]["content"]] == ["text"]
    assert "block_binding" not in body(ask(user("a")), "claude-haiku-5-5")["thinking"]


# ---------------------------------------------------------------- tools


def test_arguments_go_up_as_they_were_written() -> None:
    """No number is spelled anew and no key moved."""
    written = '{"b": 1.0, "a": 12345678901234567890}'
    talk = (user("go"), model(ToolCall("c", "look", written)), user(ToolResult("c", (Text("1"),))))
    assert written.encode() in codec().encode(ask(*talk, tools=(TOOL,)), target(NEW)).call.body


def test_no_arguments_are_an_empty_object() -> None:
    """OpenAI's clients send an empty text."""
    talk = (user("go"), model(ToolCall("c", "look", "")), user(ToolResult("c", (Text("1"),))))
    assert body(ask(*talk, tools=(TOOL,)))["messages"][1]["content"][0]["input"] == {}


@pytest.mark.parametrize("written", ["{", "[]", "3"])
def test_arguments_that_are_no_object_are_refused_with_their_place(written: str) -> None:
    """The client's fault is reported before the vendor is asked."""
    with pytest.raises(Unsupported, match=r"messages\[1\]"):
        body(ask(user("go"), model(ToolCall("c", "look", written)), tools=(TOOL,)))


def test_ids_the_wire_does_not_take_are_replaced_alike_in_call_and_result() -> None:
    """The same id is replaced alike in every turn; a valid one stays."""
    talk = (user("go"), model(ToolCall("a/b:1", "look", "{}"), ToolCall("ok_1", "look", "{}")))
    results = user(ToolResult("a/b:1", (Text("1"),)), ToolResult("ok_1", (Text("2"),)))
    turns = body(ask(*talk, results, tools=(TOOL,)))["messages"]
    assert [block["id"] for block in turns[1]["content"]] == [block["tool_use_id"] for block in turns[2]["content"]]
    assert turns[1]["content"][1]["id"] == "ok_1"
    assert turns[1]["content"][0]["id"].startswith("call_")


def test_a_history_with_calls_has_a_tool_list_though_none_is_offered() -> None:
    """The wire requires the names declared; the model may not call them."""
    talk = (user("go"), model(ToolCall("c", "look", "{}")), user(ToolResult("c", (Text("1"),))))
    out = body(ask(*talk))
    assert [tool["name"] for tool in out["tools"]] == ["look"]
    assert out["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("choice", "parallel", "wanted"),
    [
        (None, None, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("required"), None, {"type": "any"}),
        (ToolChoice("named", "look"), False, {"type": "tool", "name": "look", "disable_parallel_tool_use": True}),
    ],
)
def test_the_choice_among_tools_is_kept(choice: ToolChoice | None, parallel: bool | None, wanted: Any) -> None:
    """On a model that can be forced."""
    out = body(ask(tools=(TOOL,), tool_choice=choice, parallel_tool_calls=parallel), "claude-haiku-5-5")
    assert out.get("tool_choice") == wanted


def test_a_model_that_cannot_be_forced_is_told_and_the_answer_says_so() -> None:
    """At the end, where no cached prefix changes."""
    request = ask(tools=(TOOL,), tool_choice=ToolChoice("named", "look"))
    out = body(request)
    assert out["tool_choice"] == {"type": "auto"}
    assert out["messages"][-1]["role"] == "system"
    assert "look" in said(out["messages"][-1])
    assert dropped(request) == ("tool_choice",)


def test_a_choice_among_some_tools_offers_these_alone() -> None:
    """The wire has no such choice, so the other tools are left out."""
    out = body(ask(tools=(TOOL, Tool("other")), tool_choice=ToolChoice("auto", allowed=("other",))))
    assert [tool["name"] for tool in out["tools"]] == ["other"]


def test_a_strict_tool_is_strict_where_it_can_be() -> None:
    """Its schema closed as the wire wants it; on an older model the loss is named."""
    strict = replace(TOOL, strict=True)
    tool = body(ask(tools=(strict,)))["tools"][0]
    assert tool["strict"] is True
    assert tool["input_schema"]["additionalProperties"] is False
    assert dropped(ask(tools=(strict,)), "claude-3-5-haiku") == ("strict",)


def test_media_in_a_result_stay_in_it() -> None:
    """The wire takes images and documents there; a cache mark on a part moves to the result."""
    picture = Media("image", "image/png", data="iVBORw0KGgo=", cache=Cache("1h"))
    talk = (user("go"), model(ToolCall("c", "look", "{}")), user(ToolResult("c", (Text("1"), picture), is_error=True)))
    block = body(ask(*talk, tools=(TOOL,)))["messages"][-1]["content"][0]
    assert [inner["type"] for inner in block["content"]] == ["text", "image"]
    assert block["is_error"] is True
    assert block["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert "cache_control" not in block["content"][1]


# ---------------------------------------------------------------- media


def test_an_image_is_what_its_bytes_say() -> None:
    """The type that a client gives is often wrong."""
    source = body(ask(user(Media("image", "image/png", data="/9j/4AAQ"))))["messages"][0]["content"][0]["source"]
    assert source == {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4AAQ"}


def test_media_elsewhere_are_named_by_their_address() -> None:
    """An https address or a file of this vendor; never a file of another."""
    parts = (Media("image", url="https://a.b/c.png"), Media("document", file_id="file_011"))
    sources = [block["source"] for block in body(ask(user(*parts)))["messages"][0]["content"]]
    assert sources == [{"type": "url", "url": "https://a.b/c.png"}, {"type": "file", "file_id": "file_011"}]
    with pytest.raises(Unsupported, match="another provider"):
        body(ask(user(Media("document", file_id="file-abc"))))


def test_a_text_document_is_text_and_a_pdf_a_pdf() -> None:
    """With the file's name as its title."""
    text = Media("document", "text/csv", data=base64.b64encode("ä,b".encode()).decode(), name="t.csv")
    paper = Media("document", "", data="JVBERi0xLjQ=")
    blocks = body(ask(user(text, paper)))["messages"][0]["content"]
    assert blocks[0]["source"] == {"type": "text", "media_type": "text/plain", "data": "ä,b"}
    assert blocks[0]["title"] == "t.csv"
    assert blocks[1]["source"]["media_type"] == "application/pdf"


@pytest.mark.parametrize(
    ("part", "param"),
    [
        (Media("audio", "audio/wav", data="AAAA"), "input_audio"),
        (Media("video", "video/mp4", data="AAAA"), "video_url"),
        (Media("image", "image/tiff", data="SUkqAA=="), "image_url"),
        (Media("image", url="ftp://a.b/c"), "image_url"),
        (Media("document", "application/zip", data="UEsDBA=="), "file"),
    ],
)
def test_media_the_model_cannot_take_are_refused(part: Media, param: str) -> None:
    """They are neither sent as another kind nor left out."""
    with pytest.raises(Unsupported) as caught:
        body(ask(user("look", part)))
    assert caught.value.param == param


# ---------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("more", "param"),
    [({"n": 2}, "n"), ({"logprobs": 0}, "logprobs"), ({"logit_bias": {"1": 5}}, "logit_bias")],
)
def test_what_changes_the_meaning_is_refused(more: dict[str, Any], param: str) -> None:
    """Only hints may be dropped."""
    with pytest.raises(Unsupported) as caught:
        body(ask(**more))
    assert caught.value.param == param


def test_hints_without_a_place_are_dropped_and_named() -> None:
    """They are named as the client named them."""
    request = ask(seed=1, presence_penalty=0.5, frequency_penalty=0.0, verbosity="low", metadata={"team": "x"})
    assert dropped(request) == ("metadata", "seed", "presence_penalty", "verbosity")


def test_sampling_reaches_an_old_model_under_the_old_version() -> None:
    """A new model does not get them, and the loss is named."""
    request = ask(temperature=0.3, top_k=5)
    assert (body(request, OLD)["temperature"], body(request, OLD)["top_k"]) == (0.3, 5)
    assert header(request, OLD)["anthropic-version"] == "2023-06-01"
    assert dropped(request, OLD) == ()
    assert "temperature" not in body(request)
    assert header(request)["anthropic-version"] == "2026-10-21"
    assert dropped(request) == ("temperature", "top_k")


def test_sampling_is_bounded_as_the_vendor_wants_it() -> None:
    """At most 1, not two of them together, and fixed while thinking."""
    assert body(ask(temperature=1.7), OLD)["temperature"] == 1
    assert dropped(ask(temperature=1.7), OLD) == ("temperature",)
    assert dropped(ask(temperature=0.3, top_p=0.9), OLD) == ("top_p",)
    assert dropped(ask(temperature=0.3, thinking=Thinking("high")), MIDDLE) == ("temperature",)
    assert dropped(ask(temperature=1.0, thinking=Thinking("high")), MIDDLE) == ()


def test_a_configured_version_is_kept_to() -> None:
    """Sampling parameters are sent only under a version that takes them."""
    codec_ = AnthropicCodec(lambda: NOW, "2026-10-21")
    encoded = codec_.encode(ask(temperature=0.3), target(OLD))
    assert dict(encoded.call.headers)["anthropic-version"] == "2026-10-21"
    assert encoded.dropped == ("temperature",)


def test_an_answer_has_a_limit_that_fits_the_model() -> None:
    """The limit is the client's, bounded by the model's; without one it leaves the prompt room."""
    assert body(ask(max_tokens=77))["max_tokens"] == 77
    assert body(ask())["max_tokens"] == 64_000
    assert body(ask(), OLD)["max_tokens"] == 33_333
    assert body(ask(), "claude-3-opus-20240229")["max_tokens"] == 4096
    assert dropped(ask(max_tokens=500_000), OLD) == ("max_tokens",)


def test_the_rest_has_its_names_on_this_wire() -> None:
    """Stop sequences that are not blank, the user and the tier are written."""
    request = ask(stop=("END", "\n"), user="u-1", service_tier="default")
    out = body(request)
    assert out["stop_sequences"] == ["END"]
    assert out["metadata"] == {"user_id": "u-1"}
    assert out["service_tier"] == "standard_only"
    assert dropped(request) == ("stop",)
    assert dropped(ask(service_tier="flex")) == ("service_tier",)


def test_the_answer_is_always_asked_for_as_a_stream() -> None:
    """Whole answers are folded from it."""
    assert body(ask(stream=False))["stream"] is True


# ---------------------------------------------------------------- thinking


@pytest.mark.parametrize(
    ("name", "effort", "thinking", "level", "lost"),
    [
        (NEW, None, "adaptive", None, False),
        (NEW, "high", "adaptive", "high", False),
        (NEW, "minimal", "adaptive", "low", True),
        (NEW, "none", "between_tools", None, False),
        ("claude-opus-5-5", "none", "adaptive", "low", True),
        ("claude-haiku-5-5", "none", "disabled", None, False),
        ("claude-opus-4-8", None, None, None, False),
        ("claude-opus-4-8", "none", None, None, False),
        (MIDDLE, "xhigh", "adaptive", "high", True),
        (MIDDLE, "max", "adaptive", "max", False),
        (OLD, None, None, None, False),
        (OLD, "none", None, None, False),
        (OLD, "high", "enabled", None, False),
        ("claude-3-5-haiku", "high", None, None, True),
    ],
)
def test_effort_is_said_in_the_words_of_the_models_generation(
    name: str, effort: str | None, thinking: str | None, level: str | None, lost: bool
) -> None:
    """A level that the model lacks becomes the next one below, and is named."""
    request = ask(thinking=Thinking(effort) if effort else None)
    out = body(request, name)
    assert out.get("thinking", {}).get("type") == thinking
    assert out.get("output_config", {}).get("effort") == level
    assert dropped(request, name) == (("reasoning_effort",) if lost else ())


def test_a_budget_of_thinking_leaves_the_answer_room() -> None:
    """The budget is between the vendor's minimum and half of the limit; without room it is dropped and named."""
    assert body(ask(thinking=Thinking("high"), max_tokens=40_000), OLD)["thinking"]["budget_tokens"] == 16_384
    assert body(ask(thinking=Thinking("high"), max_tokens=4000), OLD)["thinking"]["budget_tokens"] == 2000
    assert body(ask(thinking=Thinking("high"), max_tokens=1500), OLD)["thinking"]["budget_tokens"] == 1024
    assert body(ask(thinking=Thinking(budget=3000), max_tokens=4000), OLD)["thinking"]["budget_tokens"] == 3000
    assert dropped(ask(thinking=Thinking("high"), max_tokens=1024), OLD) == ("reasoning_effort",)


def test_a_budget_is_a_level_where_the_model_takes_no_budget() -> None:
    """The level whose budget it would be."""
    assert body(ask(thinking=Thinking(budget=2000)))["output_config"]["effort"] == "low"
    assert body(ask(thinking=Thinking(budget=20_000)))["output_config"]["effort"] == "high"


def test_a_budget_does_not_go_with_a_forced_tool() -> None:
    """The choice of tool is kept; thinking is dropped and named."""
    request = ask(tools=(TOOL,), tool_choice=ToolChoice("required"), thinking=Thinking("high"))
    assert body(request, OLD)["tool_choice"] == {"type": "any"}
    assert "thinking" not in body(request, OLD)
    assert dropped(request, OLD) == ("reasoning_effort",)


def test_a_budget_does_not_go_with_a_step_of_calls_that_lost_its_thinking() -> None:
    """The vendor would refuse it; with the thinking given back it goes."""
    call, result = ToolCall("c", "look", "{}"), user(ToolResult("c", (Text("1"),)))
    thought = Reasoning("hm", signatures.marked("SIG", OLD))
    lost = ask(user("go"), model(call), result, tools=(TOOL,), thinking=Thinking("high"))
    kept = ask(user("go"), model(thought, call), result, tools=(TOOL,), thinking=Thinking("high"))
    assert dropped(lost, OLD) == ("reasoning_effort",)
    assert body(kept, OLD)["thinking"]["type"] == "enabled"


def test_thinking_is_shown_unless_the_client_does_not_want_it() -> None:
    """A stream that is silent while the model thinks looks dead."""
    assert body(ask())["thinking"]["display"] == "summarized"
    assert body(ask(thinking=Thinking("low", show=False)))["thinking"]["display"] == "omitted"


# ---------------------------------------------------------------- structured output


def test_a_schema_is_kept_by_the_wire_where_it_can() -> None:
    """The schema is closed, as structured output requires."""
    form = body(ask(format=Format(SCHEMA)))["output_config"]["format"]
    assert form == {"type": "json_schema", "schema": {**SCHEMA, "additionalProperties": False}}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (NEW, Format()),
        ("claude-3-5-haiku", Format(SCHEMA)),
        (NEW, Format({"type": "object"})),
        (
            NEW,
            Format(
                {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}}}}
            ),
        ),
    ],
)
def test_a_form_the_wire_cannot_keep_is_asked_for_in_words_and_named(name: str, wanted: Format) -> None:
    """Any object, an older model, an open object, a schema that holds itself."""
    out = body(ask(system("Be kind."), user("hi"), format=wanted), name)
    assert "format" not in out.get("output_config", {})
    assert "JSON" in out["system"][-1]["text"]
    assert dropped(ask(format=wanted), name) == ("response_format",)


# ---------------------------------------------------------------- extras


def test_members_of_this_wire_reach_it_from_a_client_of_another() -> None:
    """By their names; an object is joined with ours; the betas they need are asked for."""
    extra = {"openai_chat": {"context_management": {"edits": []}, "output_config": {"effort": "max"}, "speed": "fast"}}
    request = ask(format=Format(SCHEMA), extra=extra)
    out = body(request)
    assert out["output_config"]["effort"] == "max"
    assert "format" in out["output_config"]
    assert out["speed"] == "fast"
    assert header(request)["anthropic-beta"] == "context-management-2025-06-27,fast-mode-2026-02-01"


def test_betas_can_be_named_by_the_client() -> None:
    """As a list or as the header has it."""
    for value in (["a-1", "b-2"], "a-1,b-2"):
        assert header(ask(extra={"openai_chat": {"anthropic_beta": value}}))["anthropic-beta"] == "a-1,b-2"
    assert "anthropic-beta" not in header(ask())


def test_a_server_tool_reaches_the_vendor_behind_the_functions() -> None:
    """Another vendor's is refused."""
    search = {"type": "web_search_20250305", "name": "web_search"}
    out = body(ask(tools=(TOOL,), extra={"openai_chat": {"tools": [search]}}))
    assert [tool["name"] for tool in out["tools"]] == ["look", "web_search"]
    foreign = {"openai_chat": {"tools": [{"type": "code_interpreter"}]}}
    assert dropped(ask(extra=foreign)) == ("tools",)
    assert "tools" not in body(ask(extra=foreign))
    with pytest.raises(Unsupported) as caught:
        body(ask(extra=foreign, tool_choice=ToolChoice("required")))
    assert caught.value.param == "tools"


def test_openais_web_search_is_the_vendors_search() -> None:
    """Near the place the client names; what is asked beyond it is dropped, and named."""
    near = {"type": "approximate", "approximate": {"city": "Turin", "country": "IT"}}
    request = ask(extra={"openai_chat": {"web_search_options": {"user_location": near}}})
    there = {"type": "approximate", "city": "Turin", "country": "IT"}
    search = {"type": "web_search_20250305", "name": "web_search"}
    assert body(request)["tools"] == [search | {"user_location": there}]
    assert dropped(request) == ()
    request = ask(extra={"openai_chat": {"web_search_options": {"search_context_size": "low"}}})
    assert body(request)["tools"] == [search]
    assert dropped(request) == ("web_search_options",)
    assert "tools" not in body(ask(extra={"openai_chat": {"web_search_options": None}}))


def test_a_choice_holds_for_server_tools_too() -> None:
    """And a history with calls does not switch them off."""
    extra = {"openai_chat": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}}
    out = body(ask(tool_choice=ToolChoice("required"), extra=extra), "claude-haiku-5-5")
    assert out["tool_choice"] == {"type": "any"}
    talk = (user("go"), model(ToolCall("c", "look", "{}")), user(ToolResult("c", (Text("1"),))))
    assert "tool_choice" not in body(ask(*talk, extra=extra))


def test_members_of_this_wire_stand_beside_tools_and_documents_too() -> None:
    """Where a client of another wire put them."""
    late = replace(TOOL, extra={"openai_chat": {"defer_loading": True, "unknown": 1}})
    assert body(ask(tools=(late,)))["tools"][0]["defer_loading"] is True
    paper = Media("document", data="JVBERi0xLjQ=", extra={"openai_chat": {"citations": {"enabled": True}}})
    assert body(ask(user(paper)))["messages"][0]["content"][0]["citations"] == {"enabled": True}


def test_members_only_another_wire_knows_are_named() -> None:
    """And what asks for an answer in sound is refused."""
    assert dropped(ask(extra={"openai_chat": {"prediction": {}, "store": False, "stream_options": {}}})) == (
        "prediction",
    )
    with pytest.raises(Unsupported):
        body(ask(extra={"openai_chat": {"modalities": ["text", "audio"]}}))


# ---------------------------------------------------------------- headers


@pytest.mark.parametrize("value", ["caf\xe9", "a\r\nx-api-key: b", "a\x00", "b" * 5000, ""])
def test_a_header_that_cannot_be_sent_is_dropped(value: str) -> None:
    """A client's header values are checked before they are passed through: the call goes out without them."""
    client = {"anthropic-version": value, "anthropic-beta": value}
    assert codec().headers(client) == (("anthropic-version", "2026-10-21"),)


@pytest.mark.parametrize(
    ("asked", "sent", "dropped"),
    [
        ("a,b", "a,b", ()),
        (["a", "caf\xe9"], "a", ("betas",)),
        ("a\r\nb: c", None, ("betas",)),
        (7, None, ()),
        ([f"b{n}" for n in range(40)], ",".join(f"b{n}" for n in range(32)), ("betas",)),
    ],
)
def test_betas_of_a_body_are_names(asked: Any, sent: str | None, dropped: tuple[str, ...]) -> None:
    """Words that no header can hold, and those beyond the bound, are dropped and named."""
    encoded = codec().encode(ask(extra={"openai_chat": {"betas": asked}}), target(NEW))
    assert dict(encoded.call.headers).get("anthropic-beta") == sent
    assert encoded.dropped == dropped


def test_a_clients_own_version_and_betas_go_up_with_its_bytes() -> None:
    """They say what the bytes mean; its keys stay here."""
    client = {"anthropic-version": "2023-06-01", "anthropic-beta": "x-1", "x-api-key": "secret", "accept": "*/*"}
    assert codec().headers(client) == (("anthropic-version", "2023-06-01"), ("anthropic-beta", "x-1"))
    assert codec().headers({}) == (("anthropic-version", "2026-10-21"),)


def test_the_wire_has_its_addresses() -> None:
    """Below a base without a version."""
    assert codec().path("anthropic_messages") == "/v1/messages"
    assert codec().encode(ask(), target(NEW)).call.path == "/v1/messages"
