"""The stand-in for models on Gemini's wire: its bodies as chat ones, so that one script answers all, and its answers.

Thoughts and the first call of a step are signed, and what comes back is not checked here: tests read it in the bodies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.fakes.script import Answer, Json, pieces

SIGNATURE = "c2lnbmVkLWJ5LXRoZS1zdGFuZC1pbg=="
USAGE = {
    "promptTokenCount": 40,
    "cachedContentTokenCount": 10,
    "candidatesTokenCount": 8,
    "totalTokenCount": 48,
}

_MODES = {"AUTO": "auto", "VALIDATED": "auto", "ANY": "required", "NONE": "none"}


# What is asked


def is_asked(path: str) -> bool:
    return path.endswith(":streamGenerateContent")


def as_chat(body: Json) -> Json:
    """A body of this wire as the chat wire would have it, in what the script and tests look at."""
    chat: Json = {"messages": list(_messages(body))}
    declared = [each for tool in body.get("tools") or () for each in tool.get("functionDeclarations") or ()]
    if declared:
        chat["tools"] = [{"type": "function", "function": _function(each)} for each in declared]
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig")
    if calling:
        names = calling.get("allowedFunctionNames") or []
        named = calling["mode"] == "ANY" and len(names) == 1
        chat["tool_choice"] = {"function": {"name": names[0]}} if named else _MODES[calling["mode"]]
    if schema := (body.get("generationConfig") or {}).get("responseJsonSchema"):
        chat["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
    return chat


def _function(declared: Json) -> Json:
    return {"name": declared["name"], "parameters": declared.get("parametersJsonSchema") or {"type": "object"}}


def _messages(body: Json) -> Iterator[Json]:
    if body.get("systemInstruction"):
        yield {"role": "system", "content": body["systemInstruction"]["parts"]}
    for turn in body["contents"]:
        parts = turn["parts"]
        for answer in (part["functionResponse"] for part in parts if "functionResponse" in part):
            yield {"role": "tool", "tool_call_id": answer["id"], "content": str(answer["response"].get("result"))}
        texts = [{"type": "text", "text": part["text"]} for part in parts if "text" in part and not part.get("thought")]
        calls = [_call(part["functionCall"]) for part in parts if "functionCall" in part]
        if texts or calls:
            role = "assistant" if turn["role"] == "model" else "user"
            yield {"role": role, "content": texts, **({"tool_calls": calls} if calls else {})}


def _call(call: Json) -> Json:
    return {
        "id": call["id"],
        "type": "function",
        "function": {"name": call["name"], "arguments": json.dumps(call["args"])},
    }


# What is said


def chunks(said: Answer, model: str, new_id: str) -> Iterator[Json]:
    """Every chunk is a whole response; the last one has the finish reason. Calls come in one piece each."""
    head = {"modelVersion": model, "responseId": new_id, "usageMetadata": USAGE}
    for part in _parts(said, new_id):
        yield {"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}], **head}
    last = {"index": 0, "content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP"}
    yield {"candidates": [last], **head}


def _parts(said: Answer, new_id: str) -> Iterator[Json]:
    for piece in pieces(said.reasoning):
        yield {"text": piece, "thought": True}
    for piece in pieces(said.text):
        yield {"text": piece}
    for place, call in enumerate(said.calls):
        given = {"id": f"{new_id}-{place}", "name": call.name, "args": json.loads(call.arguments)}
        yield {"functionCall": given, **({} if place else {"thoughtSignature": SIGNATURE})}


def event_bytes(chunk: Json) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n"
