"""A request becomes a body the vendor takes, with the same meaning; a loss is named or refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud.gemini import signatures
from runtime.contract.codec import Unsupported
from runtime.contract.messages import (
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
from tests.cloud.gemini.recorded import codec, judge, target
from tests.cloud.turns import model, user

NEW, OLD, OLDER = "gemini-3.8-flash", "gemini-2.5-flash", "gemini-2.0-flash"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\nrest").decode()
PDF = base64.b64encode(b"%PDF-1.7 rest").decode()
WEATHER = Tool(
    "weather", "of a city", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
)


def asked(*messages: Message, **more: Any) -> Request:
    return Request("any", messages or (user(Text("hi")),), **more)


def body(request: Request, name: str = NEW) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(codec().encode(request, target(name)).call.body)
    return found


def settings(request: Request, name: str = NEW) -> dict[str, Any]:
    found: dict[str, Any] = body(request, name).get("generationConfig", {})
    return found


def dropped(request: Request, name: str = NEW) -> tuple[str, ...]:
    return codec().encode(request, target(name)).dropped


def test_the_model_stands_in_the_path() -> None:
    """The address names version, model and stream; a name cannot lead elsewhere."""
    assert codec().encode(asked(), target(NEW)).call.path == f"/v1beta/models/{NEW}:streamGenerateContent?alt=sse"
    odd = codec().encode(asked(), replace(target(NEW), model="x?key=1#")).call.path
    assert odd == "/v1beta/models/x%3Fkey%3D1%23:streamGenerateContent?alt=sse"
    assert (
        codec()
        .encode(asked(), replace(target(NEW), model="tunedModels/mine"))
        .call.path.startswith("/v1beta/tunedModels/mine:")
    )


def test_instructions_at_the_head_are_the_system_instruction_and_later_ones_keep_their_place() -> None:
    """Only instructions before the first turn are the system instruction."""
    said = body(
        asked(
            Message(Role.SYSTEM, (Text("A"),)),
            Message(Role.SYSTEM, (Text("B"),)),
            user(Text("one")),
            model(Text("two")),
            Message(Role.SYSTEM, (Text("C"),)),
            user(Text("three")),
        )
    )
    assert said["systemInstruction"] == {"parts": [{"text": "A"}, {"text": "B"}]}
    assert said["contents"] == [
        {"role": "user", "parts": [{"text": "one"}]},
        {"role": "model", "parts": [{"text": "two"}]},
        {"role": "user", "parts": [{"text": "C"}, {"text": "three"}]},
    ]


def test_a_conversation_opens_and_closes_with_the_user() -> None:
    """Missing turns are filled in; a model that cannot continue its own turn is asked to, and that is named."""
    alone = body(asked(Message(Role.SYSTEM, (Text("A"),))))
    assert [turn["role"] for turn in alone["contents"]] == ["user"]
    request = asked(model(Text("well")))
    assert [turn["role"] for turn in body(request)["contents"]] == ["user", "model", "user"]
    assert dropped(request) == ("messages",)


def test_empty_parts_refusals_and_other_wires_blocks_are_not_sent() -> None:
    """The wire refuses empty parts; parts that are left out are named."""
    refused = asked(user(Text(""), Text("a")), model(Refusal("no"), Text("")), user(Text("b")))
    foreign = asked(user(Text("a")), model(Opaque("anthropic_messages", {})), user(Text("b")))
    for request in (refused, foreign):
        assert body(request)["contents"] == [{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}]
        assert dropped(request) == ("messages",)
    assert dropped(asked(user(Text(""), Text("a")), model(Text("")))) == ()


def test_calls_and_results_pair_up_by_name_in_one_turn() -> None:
    """Parallel results stand first, in one turn, under their tools' names; text of that turn follows them."""
    said = body(
        asked(
            user(Text("go")),
            model(ToolCall("a", "weather", '{"city":"Rome"}', "c2ln"), ToolCall("b", "time", "")),
            user(ToolResult("a", (Text('{"c":21}'),))),
            user(Text("and?"), ToolResult("b", (Text("noon"),), is_error=True)),
        )
    )
    assert said["contents"][1]["parts"] == [
        {"functionCall": {"id": "a", "name": "weather", "args": {"city": "Rome"}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"id": "b", "name": "time", "args": {}}},
    ]
    assert said["contents"][2]["parts"] == [
        {"functionResponse": {"id": "a", "name": "weather", "response": {"c": 21}}},
        {"functionResponse": {"id": "b", "name": "time", "response": {"error": "noon"}}},
        {"text": "and?"},
    ]


@pytest.mark.parametrize(
    ("content", "response"),
    [
        ((Text("plain"),), {"result": "plain"}),
        ((), {"result": ""}),
        ((Text("a"), Text("b")), {"result": ["a", "b"]}),
        ((Text("[1]"),), {"result": "[1]"}),
        ((Text('{"id":9007199254740993}'),), {"result": '{"id":9007199254740993}'}),
        ((Text('{"x":NaN}'),), {"result": '{"x":NaN}'}),
    ],
)
def test_a_result_is_an_object_that_loses_nothing(content: tuple[Text, ...], response: dict[str, Any]) -> None:
    """A result that is no object, or would lose digits as one, is put under a name."""
    said = body(asked(user(Text("go")), model(ToolCall("a", "f", "{}")), user(ToolResult("a", content))))
    assert said["contents"][2]["parts"][0]["functionResponse"]["response"] == response


@pytest.mark.parametrize(
    "messages",
    [
        (user(Text("go")), model(ToolCall("a", "f", "{}")), user(Text("what?"))),
        (user(Text("go")), user(ToolResult("a", (Text("x"),), name="f"))),
        (user(Text("go")), model(ToolCall("a", "f", "{}"))),
        (user(Text("go")), model(ToolCall("a", "f", "{}")), user(ToolResult("a", ()), ToolResult("a", ()))),
        (user(Text("go")), model(ToolCall("a", "f", "[1]")), user(ToolResult("a", ()))),
    ],
)
def test_calls_that_are_not_answered_once_are_refused(messages: tuple[Message, ...]) -> None:
    """A conversation the vendor would refuse is refused with the place."""
    with pytest.raises(Unsupported) as refused:
        body(asked(*messages))
    assert refused.value.param == "messages"


def test_signatures_come_home_and_foreign_ones_do_not() -> None:
    """A signature returns on its own part; a step of another model gets the vendor's own mark on its first call."""
    ours = signatures.marked("c2ln")
    said = body(
        asked(
            user(Text("go")),
            model(
                Reasoning("hm", ours),
                Text("so"),
                Reasoning("", ours),
                ToolCall("a", "f", "{}"),
                ToolCall("b", "f", "{}"),
            ),
            user(ToolResult("a", ()), ToolResult("b", ())),
            model(
                Reasoning("else", "another/vendor#x"),
                ToolCall("c", "f", "{}", "theirs", extra={"hearth": {"model": "claude-x"}}),
            ),
            user(ToolResult("c", ())),
        )
    )
    assert said["contents"][1]["parts"][:3] == [
        {"text": "hm", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "so", "thoughtSignature": "c2ln"},
        {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": signatures.FOREIGN},
    ]
    assert "thoughtSignature" not in said["contents"][1]["parts"][3]
    assert [part.get("thoughtSignature") for part in said["contents"][3]["parts"]] == [signatures.FOREIGN]


def test_a_model_without_signatures_gets_none_of_ours() -> None:
    """Older models need no mark for foreign calls."""
    said = body(asked(user(Text("go")), model(ToolCall("a", "f", "{}")), user(ToolResult("a", ()))), OLD)
    assert "thoughtSignature" not in json.dumps(said)


def test_a_signature_whose_place_was_lost_goes_on_the_text() -> None:
    """A client that sends thinking first and text second still returns the signature."""
    said = body(asked(user(Text("a")), model(Reasoning("", signatures.marked("c2ln")), Text("b")), user(Text("c"))))
    assert said["contents"][1]["parts"] == [{"text": "b", "thoughtSignature": "c2ln"}]


def test_media_go_inline_or_by_address() -> None:
    """The type is the file's own, whatever the client called it; files of other providers are refused."""
    said = body(
        asked(
            user(
                Media("image", "image/jpeg", data=PNG, detail="low"),
                Media("audio", "audio/x-wav", data="UklGRg=="),
                Media(
                    "video",
                    url="https://youtu.be/x",
                    extra={"openai_chat": {"video_metadata": {"fps": 2, "start_offset": "1s"}}},
                ),
                Media("image", url="https://host/cat.webp?s=1"),
                Media("document", file_id="files/abc"),
                Media("document", "text/csv", data="YSxi"),
            )
        )
    )
    assert said["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": PNG}, "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
        {"fileData": {"fileUri": "https://youtu.be/x"}, "videoMetadata": {"fps": 2, "startOffset": "1s"}},
        {"fileData": {"mimeType": "image/webp", "fileUri": "https://host/cat.webp?s=1"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
        {"inlineData": {"mimeType": "text/csv", "data": "YSxi"}},
    ]
    for odd in (Media("document", file_id="file-123"), Media("image", data="AAAA"), Media("image", url="ftp://host/x")):
        with pytest.raises(Unsupported):
            body(asked(user(odd)))


def test_a_model_that_cannot_hear_is_not_asked_to() -> None:
    """A kind of media that the model does not take is refused, under the client's own name for it."""
    deaf = replace(target(NEW), capabilities=replace(target(NEW).capabilities, modalities=frozenset({"text"})))
    with pytest.raises(Unsupported) as refused:
        codec().encode(asked(user(Media("audio", "audio/wav", data="UklGRg=="))), deaf)
    assert refused.value.param == "input_audio"


def test_media_of_a_result_stand_in_it_where_the_model_takes_them() -> None:
    """Newer models take pictures inside a result; what they do not take there, and older models, get it behind the result."""
    result = ToolResult("a", (Text("see"), Media("image", data=PNG), Media("image", url="https://host/a.png")))
    request = asked(user(Text("go")), model(ToolCall("a", "f", "{}")), user(result))
    inline = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    by_address = {"fileData": {"mimeType": "image/png", "fileUri": "https://host/a.png"}}
    told = {"id": "a", "name": "f", "response": {"result": "see"}}
    assert body(request)["contents"][2]["parts"] == [{"functionResponse": told | {"parts": [inline]}}, by_address]
    assert body(request, OLD)["contents"][2]["parts"] == [{"functionResponse": told}, inline, by_address]


def test_detail_of_all_media_is_one_setting_on_older_models() -> None:
    """Older models have one resolution for all; two different ones are dropped, and it is said."""
    low, high = Media("image", data=PNG, detail="low"), Media("image", data=PNG, detail="high")
    assert settings(asked(user(low, low)), OLD)["mediaResolution"] == "MEDIA_RESOLUTION_LOW"
    assert dropped(asked(user(low, high)), OLD) == ("detail",)


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        (None, None),
        (ToolChoice("auto"), None),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("named", "weather"), {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
        (ToolChoice("required", allowed=("weather",)), {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
        (ToolChoice("auto", allowed=("weather",)), {"mode": "VALIDATED", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_the_choice_among_tools(choice: ToolChoice | None, config: dict[str, Any] | None) -> None:
    """Each way of choosing has its mode."""
    said = body(asked(tools=(WEATHER, Tool("time")), tool_choice=choice))
    assert said.get("toolConfig", {}).get("functionCallingConfig") == config


def test_tools_are_declared_by_their_schemas() -> None:
    """A tool without arguments has no schema; strict tools are held to theirs."""
    empty = Tool("now", schema={"type": "object", "properties": {}, "additionalProperties": False}, strict=True)
    said = body(asked(tools=(WEATHER, empty)))
    assert said["tools"] == [
        {
            "functionDeclarations": [
                {"name": "weather", "description": "of a city", "parametersJsonSchema": WEATHER.schema},
                {"name": "now"},
            ]
        }
    ]
    assert said["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


@pytest.mark.parametrize(
    ("name", "thinking", "config", "lost"),
    [
        (NEW, None, {"includeThoughts": True}, False),
        (NEW, Thinking(show=False), {}, False),
        (NEW, Thinking("low"), {"includeThoughts": True, "thinkingLevel": "LOW"}, False),
        (NEW, Thinking("none"), {"includeThoughts": True, "thinkingLevel": "LOW"}, True),
        (NEW, Thinking("minimal", show=False), {"thinkingLevel": "LOW"}, True),
        (NEW, Thinking("max"), {"includeThoughts": True, "thinkingLevel": "HIGH"}, True),
        (NEW, Thinking("odd"), {"includeThoughts": True, "thinkingLevel": "LOW"}, True),
        (NEW, Thinking(budget=4000), {"includeThoughts": True, "thinkingLevel": "MEDIUM"}, False),
        ("gemini-3-pro-preview", Thinking("medium"), {"includeThoughts": True, "thinkingLevel": "LOW"}, True),
        ("gemini-3.6-flash", Thinking("minimal"), {"includeThoughts": True, "thinkingLevel": "MINIMAL"}, False),
        (OLD, Thinking("none"), {"thinkingBudget": 0}, False),
        (OLD, Thinking("medium"), {"includeThoughts": True, "thinkingBudget": 8192}, False),
        (OLD, Thinking("max"), {"includeThoughts": True, "thinkingBudget": 24576}, False),
        (OLD, Thinking(budget=0), {"thinkingBudget": 0}, False),
        (OLD, Thinking(budget=99999), {"includeThoughts": True, "thinkingBudget": 24576}, True),
        ("gemini-2.5-pro", Thinking("none"), {"includeThoughts": True, "thinkingBudget": 128}, True),
        ("gemini-2.5-flash-lite", None, {}, False),
        ("gemini-2.5-flash-lite", Thinking(show=True), {}, False),
        (OLDER, Thinking("high"), {}, True),
        (OLDER, Thinking("none"), {}, False),
    ],
)
def test_thinking_is_told_in_the_terms_of_the_generation(
    name: str, thinking: Thinking | None, config: dict[str, Any], lost: bool
) -> None:
    """Thinking is a level or a budget, never both; a request beyond the model's is weakened and named."""
    assert settings(asked(thinking=thinking), name).get("thinkingConfig", {}) == config
    assert dropped(asked(thinking=thinking), name) == (("reasoning_effort",) if lost else ())


def test_settings_that_a_model_does_not_take_are_dropped_and_named() -> None:
    """Sampling and penalties reach the models that take them."""
    request = asked(
        max_tokens=100_000,
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        presence_penalty=1,
        frequency_penalty=1,
        seed=7,
        stop=("x",),
    )
    assert settings(request, OLD) == {
        "maxOutputTokens": 65536,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 5,
        "seed": 7,
        "presencePenalty": 1,
        "frequencyPenalty": 1,
        "stopSequences": ["x"],
        "thinkingConfig": {"includeThoughts": True},
    }
    lost = ("max_tokens", "temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty")
    assert dropped(request) == lost
    assert dropped(request, OLD) == ("max_tokens",)


def test_what_has_no_member_is_named() -> None:
    """Hints without a member on the wire are dropped and named."""
    request = asked(
        user="me",
        verbosity="low",
        metadata={"a": "b"},
        service_tier="flex",
        tools=(WEATHER,),
        parallel_tool_calls=False,
        extra={"openai_chat": {"store": True, "prompt_cache_key": "k", "prediction": None}},
    )
    lost = ("parallel_tool_calls", "store", "prompt_cache_key", "user", "verbosity", "metadata", "service_tier")
    assert dropped(request) == lost


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"n": 2}, "n"),
        ({"logit_bias": {"1": 1.0}}, "logit_bias"),
        ({"logprobs": 2}, "logprobs"),
        ({"stop": ("a", "b", "c", "d", "e", "f")}, "stop"),
        ({"extra": {"openai_chat": {"continue_final_message": True}}}, "continue_final_message"),
        ({"extra": {"openai_chat": {"audio": {"voice": "x"}}}}, "audio"),
    ],
)
def test_what_would_change_the_meaning_is_refused(more: dict[str, Any], param: str) -> None:
    """Semantics are never dropped."""
    with pytest.raises(Unsupported) as refused:
        body(asked(**more))
    assert refused.value.param == param


def test_log_probabilities_are_asked_of_models_that_give_them() -> None:
    """With their number, where alternatives are wanted."""
    assert settings(asked(logprobs=3), OLDER) == {"responseLogprobs": True, "logprobs": 3}
    assert settings(asked(logprobs=0), OLDER) == {"responseLogprobs": True}


def test_structured_output_has_a_type_and_a_schema() -> None:
    """Any object, or one of this schema."""
    assert settings(asked(format=Format()), OLDER) == {"responseMimeType": "application/json"}
    schema = {"type": "object", "properties": {"kind": {"const": "x"}}}
    assert settings(asked(format=Format(schema, description="an answer")), OLDER) == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {
            "type": "object",
            "properties": {"kind": {"enum": ["x"], "type": "string"}},
            "description": "an answer",
        },
    }


def test_a_format_beside_tools_is_said_in_words_where_the_model_takes_no_both() -> None:
    """Newer models are held to the format; older ones are asked for it in words."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    request = asked(format=Format(schema), tools=(WEATHER,))
    assert settings(request)["responseJsonSchema"] == schema
    assert "responseMimeType" not in settings(request, OLD)
    assert json.dumps(schema, separators=(",", ":")) in body(request, OLD)["systemInstruction"]["parts"][0]["text"]
    assert dropped(request, OLD) == ("response_format",)
    assert dropped(replace(request, tools=()), OLD) == ()


def test_members_only_this_wire_knows_are_reached_by_their_names() -> None:
    """Either casing, at the top, in the vendor's own space, or as a native extra: all end where they belong."""
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    said = body(
        asked(
            temperature=0.1,
            tools=(WEATHER,),
            thinking=Thinking("low"),
            extra={
                "openai_chat": {
                    "safety_settings": safety,
                    "tools": [{"google_search": {}}, {"type": "url_context"}],
                    "google": {"cached_content": "cachedContents/1", "thinking_config": {"thinking_level": "HIGH"}},
                    "extra_body": {"google": {"labels": {"my_team": "x"}}},
                    "modalities": ["text", "image"],
                },
                "gemini": {"generationConfig": {"temperature": 0.9}, "tools": [{"codeExecution": {}}]},
            },
        )
    )
    assert said["safetySettings"] == safety
    assert said["cachedContent"] == "cachedContents/1"
    assert said["labels"] == {"my_team": "x"}
    assert said["tools"][1:] == [{"googleSearch": {}}, {"urlContext": {}}, {"codeExecution": {}}]
    assert said["toolConfig"] == {"includeServerSideToolInvocations": True}
    assert said["generationConfig"] == {
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "HIGH"},
        "responseModalities": ["TEXT", "IMAGE"],
        "temperature": 0.9,
    }


def test_a_level_of_the_clients_own_goes_before_a_budget_of_ours() -> None:
    """Two measures of thinking never go up together."""
    own = {"openai_chat": {"thinking_config": {"thinking_budget": 5}}}
    assert settings(asked(thinking=Thinking("low"), extra=own), OLD)["thinkingConfig"]["thinkingBudget"] == 5
    assert "thinkingBudget" not in settings(asked(thinking=Thinking("low"), extra=own))["thinkingConfig"]


def test_openais_web_search_is_the_vendors_search() -> None:
    """Settings beyond the search itself are dropped and named."""
    request = asked(extra={"openai_chat": {"web_search_options": {"search_context_size": "low"}}})
    assert body(request)["tools"] == [{"googleSearch": {}}]
    assert dropped(request) == ("web_search_options",)


@pytest.mark.parametrize(
    ("extra", "search"),
    [
        ({"openai_chat": {"web_search_options": {}, "tools": [{"google_search": {}}]}}, {}),
        ({"openai_chat": {"web_search_options": {}, "google": {"tools": [{"google_search": {}}]}}}, {}),
        ({"openai_chat": {"web_search_options": {}}, "gemini": {"tools": [{"googleSearch": {"a": 1}}]}}, {"a": 1}),
    ],
)
def test_a_search_asked_for_in_two_ways_is_one_search(extra: dict[str, Any], search: dict[str, Any]) -> None:
    """The settings of either are kept."""
    assert body(asked(extra=extra))["tools"] == [{"googleSearch": search}]


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "file_search", "vector_store_ids": ["vs_1"]},
        {"type": "file_search"},
        {"file_search": {"vector_store_ids": ["vs_1"]}},
        {"type": "retrieval"},
    ],
)
def test_another_vendors_tool_of_the_same_name_is_dropped(tool: dict[str, Any]) -> None:
    """The members tell the vendors' tools apart; one that must be called is refused."""
    foreign = {"openai_chat": {"tools": [tool]}}
    assert "tools" not in body(asked(extra=foreign))
    assert dropped(asked(extra=foreign)) == ("tools",)
    with pytest.raises(Unsupported) as caught:
        body(asked(extra=foreign, tool_choice=ToolChoice("required")))
    assert caught.value.param == "tools"


def test_the_vendors_own_file_search() -> None:
    """In its own members, by its name or as a type."""
    stores = {"file_search_store_names": ["fileSearchStores/a"]}
    for tool in ({"file_search": stores}, {"type": "file_search", **stores}):
        said = body(asked(extra={"openai_chat": {"tools": [tool]}}))
        assert said["tools"] == [{"fileSearch": {"fileSearchStoreNames": ["fileSearchStores/a"]}}]


@pytest.fixture(scope="module")
def vendor_errors(shared: Path) -> Callable[[dict[str, Any]], list[str]]:
    """The errors of both of the vendor's own descriptions; none if either accepts the body."""
    oracle = judge(shared).rules.errors

    def found(said: dict[str, Any]) -> list[str]:
        first, second = oracle("gemini", said), oracle("gemini_proto", said)
        return [*first, *second] if first and second else []

    return found


@pytest.mark.parametrize("name", [NEW, OLD, OLDER, "gemini-3-pro-preview"])
def test_a_body_with_everything_is_the_vendors_own(
    name: str, vendor_errors: Callable[[dict[str, Any]], list[str]]
) -> None:
    """The vendor's types accept a body with every feature."""
    request = asked(
        Message(Role.SYSTEM, (Text("A"),)),
        user(Text("go"), Media("image", data=PNG), Media("document", data=PDF), Media("video", url="gs://b/v.mp4")),
        model(
            Reasoning("hm", signatures.marked("c2ln")), Text("so"), ToolCall("a", "weather", '{"city":"Rome"}', "c2ln")
        ),
        user(ToolResult("a", (Text("21"), Media("image", data=PNG)))),
        model(Text("warm"), Reasoning("", signatures.marked("c2ln"))),
        user(Text("thanks"), Media("audio", "audio/mp3", data="SUQz")),
        tools=(WEATHER, Tool("now", "the time")),
        tool_choice=ToolChoice("required", allowed=("now",)),
        max_tokens=100,
        temperature=0.3,
        top_p=0.5,
        top_k=3,
        stop=("a", "b"),
        seed=1,
        presence_penalty=0.1,
        frequency_penalty=0.1,
        format=Format({"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}),
        thinking=Thinking("high", show=True),
    )
    assert vendor_errors(body(request, name)) == []
    assert vendor_errors(body(request, name) | {"messages": []})
