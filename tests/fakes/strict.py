"""What strict servers refuse of a request whose JSON is good: types, the order of turns, calls and results, signatures.

`refused(path, body)` gives the faults of a body by the rules of the wire that the path belongs to, [] for one that is taken:

    chat        a turn's calls are answered by the messages behind it, each once; arguments are a JSON object; no empty turn
    responses   each call has outputs and each output a call of its kind; reasoning is encrypted here and stands before its item
    messages    the user begins; the next turn answers all calls, results first; thinking is signed here; no empty text
    generate    the user begins, turns alternate; the next turn answers all calls; the first call of a step is signed

Types are the vendor's own SDK's, closed: a member that the wire does not have is refused. The local engine (`ENGINE`) takes
members of its own.
"""

from __future__ import annotations

import base64
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import jsonschema
import pydantic
from anthropic.types.beta.message_create_params import MessageCreateParamsStreaming
from google.genai import types as gemini
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming

from tests.fakes import scripted_generate, scripted_messages
from tests.fakes.script import Json
from tests.fakes.scripted_responses import CALLS, OUTPUTS, SEALED
from tests.fakes.sdk_schema import closed_schema

ENGINE = "scripted"  # the model's name on the local engine
NO_THREADS = "this organization keeps no threads"
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"

# Members, by the class that has them, that servers take although the SDK lacks them: Codex sends the first three
# (the `content` of reasoning as null); a server that gives reasoning as the fourth takes it back;
# instructor sends the last.
_UNPUBLISHED = {
    RESPONSES: {
        "ResponseCreateParamsStreaming": "client_metadata",
        "Message": "id",
        "ResponseReasoningItemParam": "content",
    },
    CHAT: {"ChatCompletionAssistantMessageParam": "reasoning_content", "ChatCompletionToolMessageParam": "name"},
}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LONG_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_CALL_ID = re.compile(r"[a-zA-Z0-9_-]+")
# ai.google.dev/gemini-api/docs/thought-signatures: what stands for a signature that another model never gave.
_UNSIGNED = tuple(
    base64.b64encode(word).decode()
    for word in (b"skip_thought_signature_validator", b"context_engineering_is_the_way_to_go")
)


def refused(path: str, body: Json) -> list[str]:
    if path == CHAT:
        return [*([] if body.get("model") == ENGINE else typed(_schemas()[CHAT], body)), *_chat(body)]
    if path == RESPONSES:
        return [*typed(_schemas()[RESPONSES], body), *_responses(body)]
    if path == MESSAGES and "thread" in body:
        return [NO_THREADS]
    if path == MESSAGES:
        return [*typed(_schemas()[MESSAGES], body), *_messages(body)]
    return [*_typed_generate(body), *_generate(body)] if scripted_generate.is_asked(path) else []


# Types


@cache
def _schemas() -> dict[str, Any]:
    found = {}
    sources: dict[str, Any] = {
        CHAT: CompletionCreateParamsStreaming,
        RESPONSES: ResponseCreateParamsStreaming,
        MESSAGES: MessageCreateParamsStreaming,
    }
    for path, source in sources.items():
        schema = closed_schema(source)
        schema["properties"].pop("betas", None)  # a header on the wire
        _take(schema, _UNPUBLISHED.get(path, {}))
        found[path] = jsonschema.Draft202012Validator(schema)
    return found


def _take(schema: Json, members: dict[str, str]) -> None:
    for kind, member in members.items():
        schema["$defs"].get(kind, schema)["properties"][member] = {}


def typed(validator: Any, body: Json) -> list[str]:
    best = (jsonschema.exceptions.best_match([error]) for error in validator.iter_errors(body | {"stream": True}))
    return [f"{error.json_path}: {error.message[-300:]}" for error in best if error is not None]


def _typed_generate(body: Json) -> list[str]:
    """As the vendor's SDK types have it; names in camel case alone."""
    known = {
        "contents",
        "systemInstruction",
        "tools",
        "toolConfig",
        "generationConfig",
        "safetySettings",
        "cachedContent",
    }
    found = [f"unknown member {name}" for name in body if name not in known]
    values: list[tuple[type[pydantic.BaseModel], Any]] = [
        *((gemini.Content, content) for content in body.get("contents", ())),
        *((gemini.Tool, tool) for tool in body.get("tools", ())),
        (gemini.GenerationConfig, body.get("generationConfig", {})),
        (gemini.ToolConfig, body.get("toolConfig", {})),
        (gemini.Content, body.get("systemInstruction", {})),
    ]
    for kind, value in values:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                kind.model_validate(value, by_alias=True, by_name=False)
            except pydantic.ValidationError as error:
                found += [f"{kind.__name__} {each['loc']}: {each['msg']}" for each in error.errors()]
    return found


# Rules


def _chat(body: Json) -> Iterator[str]:
    pending: list[str] = []
    yield from _names([tool["function"]["name"] for tool in body.get("tools") or () if "function" in tool], _NAME)
    if not body["messages"]:
        yield "no messages"
    for place, message in enumerate(body["messages"]):
        where, role = f"messages[{place}]", message["role"]
        if role == "tool":
            if message["tool_call_id"] not in pending:
                yield f"{where}: no call {message['tool_call_id']} is waiting before this tool message"
            else:
                pending.remove(message["tool_call_id"])
            continue
        if pending:
            yield f"{where}: {role} before the results of {pending}"
        calls = message.get("tool_calls") or []
        pending = [call["id"] for call in calls]
        yield from _twice(pending, where)
        yield from (fault for call in calls for fault in _arguments(call.get("function"), where))
        thought = body.get("model") == ENGINE and message.get("reasoning")
        if message.get("content") is None and not calls and not thought:
            yield f"{where}: an empty turn of {role}"
    if pending:
        yield f"no results of {pending}"


def _responses(body: Json) -> Iterator[str]:
    given = body["input"]
    items: Sequence[Json] = [] if isinstance(given, str) else given
    yield from _names([tool["name"] for tool in body.get("tools") or () if "name" in tool], _NAME)
    kinds: dict[str, str] = {}
    pending: list[str] = []
    for place, item in enumerate(items):
        where, kind = f"input[{place}]", item.get("type", "message")
        if kind in CALLS:
            if item["call_id"] in pending:
                yield f"{where}: a second call {item['call_id']}"
            kinds[item["call_id"]] = kind
            pending.append(item["call_id"])
            yield from _arguments(item if kind == "function_call" else None, where)
        elif kind in OUTPUTS:
            if kinds.get(item["call_id"]) != OUTPUTS[kind]:
                yield f"{where}: no {OUTPUTS[kind]} {item['call_id']} before this {kind}"
            pending = [each for each in pending if each != item["call_id"]]
        elif kind == "reasoning":
            yield from _sealed(item, items[place + 1 : place + 2], where)
        elif kind == "message":
            if pending and item["role"] == "user":
                yield f"{where}: the user speaks before the outputs of {pending}"
            if not item["content"]:
                yield f"{where}: an empty message"
    if pending:
        yield f"no tool output found for {pending}"


def _sealed(item: Json, behind: Sequence[Json], where: str) -> Iterator[str]:
    if not item.get("encrypted_content"):
        yield f"{where}: item {item.get('id')} not found: nothing is kept with store set to false"
    elif item["encrypted_content"] != SEALED:
        yield f"{where}: the encrypted content could not be verified"
    own = behind[0].get("type", "message") if behind else ""
    if not own.endswith("_call") and own != "reasoning" and not (own == "message" and behind[0]["role"] == "assistant"):
        yield f"{where}: reasoning without its required following item"


def _messages(body: Json) -> Iterator[str]:
    yield from _names([tool["name"] for tool in body.get("tools") or ()], _LONG_NAME)
    pending: list[str] = []
    before = ""
    if body["messages"][:1] and body["messages"][0]["role"] != "user":
        yield "the first message must be the user's"
    for place, message in enumerate(body["messages"]):
        where, content, role = f"messages[{place}]", message["content"], message["role"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        kinds = [block["type"] for block in blocks]
        if not blocks or any(block["type"] == "text" and not block["text"].strip() for block in blocks):
            yield f"{where}: text content blocks must be non-empty"
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if sorted(results) != sorted(pending):
            yield f"{where}: tool_use {pending} and tool_result {results} do not pair up"
        if kinds[: len(results)] != ["tool_result"] * len(results):
            yield f"{where}: tool results do not come first"
        if role == "system" and before != "user":
            yield f"{where}: a system message not behind the user's"
        pending = [block["id"] for block in blocks if block["type"] == "tool_use"]
        yield from _twice(pending, where)
        yield from (f"{where}: bad id {each!r}" for each in pending if not _CALL_ID.fullmatch(each))
        for block in blocks:
            if block["type"] == "thinking" and block["signature"] != scripted_messages.SIGNATURE:
                yield f"{where}: invalid signature in thinking block"
            if block["type"] == "tool_use" and not isinstance(block["input"], dict):
                yield f"{where}: input should be a valid dictionary"
        if "thinking" in kinds and (role != "assistant" or kinds[-1] == "thinking"):
            yield f"{where}: the final block in an assistant message cannot be thinking"
        before = role
    if pending:
        yield f"tool_use {pending} without tool_result"
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled" and not 1024 <= thinking["budget_tokens"] < body["max_tokens"]:
        yield "thinking.budget_tokens outside of 1024 to max_tokens"
    if thinking.get("type") == "enabled" and (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        yield "thinking may not be enabled when tool_choice forces tool use"


def _generate(body: Json) -> Iterator[str]:
    contents = body["contents"]
    declared = [each for tool in body.get("tools") or () for each in tool.get("functionDeclarations") or ()]
    yield from _names([each["name"] for each in declared], _NAME)
    if not contents or contents[0].get("role", "user") != "user":
        yield "the first content must be the user's"
    last_asked = max(
        (n for n, each in enumerate(contents) if each["role"] == "user" and not _called(each, "functionResponse")),
        default=-1,
    )
    pending: list[str] = []
    role = ""
    for place, content in enumerate(contents):
        where = f"contents[{place}]"
        if content.get("role", "user") == role:
            yield f"{where}: two turns of the {role} in a row"
        role = content.get("role", "user")
        if not content["parts"] or any(not part for part in content["parts"]):
            yield f"{where}: empty parts"
        answers = [each["name"] for each in _called(content, "functionResponse")]
        if sorted(answers) != sorted(pending):
            yield f"{where}: the function response parts do not equal the function call parts {pending}"
        pending = [each["name"] for each in _called(content, "functionCall")]
        for n, part in enumerate(part for part in content["parts"] if "functionCall" in part):
            signature = part.get("thoughtSignature")
            if signature not in (None, scripted_generate.SIGNATURE, *_UNSIGNED):
                yield f"{where}: corrupted thought signature"
            if n == 0 and place > last_asked and signature is None:
                yield f"{where}: function call is missing a thought_signature"
    if pending:
        yield f"no response for {pending}"
    if role == "model":
        yield "the conversation must not end with a turn of the model"


def _called(content: Json, member: str) -> list[Json]:
    return [part[member] for part in content["parts"] if member in part]


def _names(names: list[str], form: re.Pattern[str]) -> Iterator[str]:
    yield from (f"tool name {name!r} does not match {form.pattern}" for name in names if not form.fullmatch(name))
    yield from _twice(names, "tools")


def _twice(names: list[str], where: str) -> Iterator[str]:
    yield from (f"{where}: {name!r} twice" for name in sorted({name for name in names if names.count(name) > 1}))


def _arguments(function: Json | None, where: str) -> Iterator[str]:
    if function is None:
        return
    try:
        fits = isinstance(json.loads(function["arguments"]), dict)
    except (TypeError, ValueError):
        fits = False
    if not fits or not function["name"]:
        yield f"{where}: the call {function['name']!r} has arguments that are no JSON object: {function['arguments']!r}"
