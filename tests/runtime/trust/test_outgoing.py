"""The text of a body: all that would leave, in every dialect's shapes, and no media."""

# ruff: noqa: E501 - one shape a line

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from runtime.trust.outgoing import outgoing
from runtime.trust.personal import UNREAD, kinds_of

MAIL = "write to max@example.com"
FILE = base64.b64encode(f"Dear all,\n{MAIL}\n".encode()).decode()
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 8).decode()


def chat(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"model": "auto", "messages": [{"role": role, "content": list(parts)}]}


SHAPES: dict[str, Any] = {
    "chat, a text": {"messages": [{"role": "user", "content": MAIL}]},
    "chat, a part": chat({"type": "text", "text": MAIL}),
    "chat, a refusal": chat({"type": "refusal", "refusal": MAIL}, role="assistant"),
    "chat, a file by data URL": chat({"type": "file", "file": {"file_data": f"data:text/plain;base64,{FILE}"}}),
    "chat, a file in base64 alone": chat({"type": "file", "file": {"filename": "a.txt", "file_data": FILE}}),
    "chat, the name of a file": chat({"type": "file", "file": {"filename": "max@example.com.pdf", "file_id": "f"}}),
    "chat, a data URL that is not encoded": chat({"type": "text", "text": "data:text/plain,max%40example.com"}),
    "chat, words that only begin like a data URL": chat({"type": "text", "text": f"data: {MAIL}"}),
    "chat, a result of a tool": {"messages": [{"role": "tool", "tool_call_id": "c", "content": json.dumps({"a": MAIL})}]},
    "chat, arguments": {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": json.dumps({"to": MAIL})}}]}]},
    "chat, a name": {"messages": [{"role": "user", "name": "max@example.com", "content": "hi"}]},
    "chat, a tool": {"messages": [], "tools": [{"function": {"description": MAIL}}]},
    "chat, a name of a member": {"messages": [], "tools": [{"function": {"parameters": {"properties": {"max@example.com": {}}}}}]},
    "chat, a schema": {"messages": [], "response_format": {"json_schema": {"schema": {"enum": [MAIL]}}}},
    "chat, a prediction": {"messages": [], "prediction": {"type": "content", "content": MAIL}},
    "chat, who asks": {"messages": [], "user": "max@example.com"},
    "chat, metadata": {"messages": [], "metadata": {"to": "max@example.com"}},
    "chat, an address of a picture": chat({"type": "image_url", "image_url": {"url": "https://x.example/?m=max%40example.com"}}),
    "completions": {"prompt": MAIL},
    "completions, several": {"prompt": ["a", MAIL], "suffix": "b"},
    "completions, a suffix": {"prompt": "a", "suffix": MAIL},
    "embeddings": {"input": MAIL},
    "embeddings, several": {"input": ["a", MAIL]},
    "responses, a text": {"input": MAIL},
    "responses, instructions": {"input": "hi", "instructions": MAIL},
    "responses, a message": {"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": MAIL}]}]},
    "responses, what was answered": {"input": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": MAIL}]}]},
    "responses, a call": {"input": [{"type": "function_call", "name": "f", "arguments": json.dumps({"to": MAIL})}]},
    "responses, a result": {"input": [{"type": "function_call_output", "call_id": "c", "output": MAIL}]},
    "responses, parts of a result": {"input": [{"type": "function_call_output", "output": [{"type": "input_text", "text": MAIL}]}]},
    "responses, a custom tool": {"input": [{"type": "custom_tool_call", "input": MAIL}]},
    "responses, a shell": {"input": [{"type": "shell_call_output", "output": [{"stdout": MAIL}]}]},
    "responses, thoughts": {"input": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": MAIL}]}]},
    "responses, a file": {"input": [{"type": "message", "content": [{"type": "input_file", "file_data": f"data:text/csv;base64,{FILE}"}]}]},
    "responses, variables of a prompt": {"input": "hi", "prompt": {"id": "p", "variables": {"to": MAIL}}},
    "anthropic, system": {"system": MAIL, "messages": []},
    "anthropic, blocks of the system": {"system": [{"type": "text", "text": MAIL}], "messages": []},
    "anthropic, a tool's input": chat({"type": "tool_use", "input": {"to": {"deep": [MAIL]}}}, role="assistant"),
    "anthropic, a result": chat({"type": "tool_result", "content": MAIL}),
    "anthropic, blocks of a result": chat({"type": "tool_result", "content": [{"type": "text", "text": MAIL}]}),
    "anthropic, a document of text": chat({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": MAIL}}),
    "anthropic, a document in base64": chat({"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": FILE}}),
    "anthropic, a document of blocks": chat({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": MAIL}]}}),
    "anthropic, beside a document": chat({"type": "document", "title": MAIL, "source": {"type": "url", "url": "https://x.example"}}),
    "anthropic, a found page": chat({"type": "search_result", "source": "s", "content": [{"type": "text", "text": MAIL}]}),
    "anthropic, thoughts": chat({"type": "thinking", "thinking": MAIL, "signature": "c2ln"}, role="assistant"),
    "gemini, parts": {"contents": [{"role": "user", "parts": [{"text": MAIL}]}]},
    "gemini, a file": {"contents": [{"parts": [{"inline_data": {"mime_type": "text/plain", "data": FILE}}]}]},
    "gemini, a result": {"contents": [{"parts": [{"functionResponse": {"response": {"result": MAIL}}}]}]},
    "gemini, instructions": {"systemInstruction": {"parts": [{"text": MAIL}]}},
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_every_text_is_read(name: str) -> None:
    """In whatever member it stands."""
    assert kinds_of(SHAPES[name]) == {"mail"}


@pytest.mark.parametrize(
    "body",
    [
        chat({"type": "image_url", "image_url": {"url": "data:image/png;base64," + PICTURE}}),
        chat({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}}),
        chat({"type": "input_audio", "input_audio": {"format": "wav", "data": PICTURE}}),
        chat({"type": "thinking", "thinking": "", "signature": PICTURE}),
        {"input": [[49308, 16475, 90182], [30901, 82019, 4111]]},
        {"messages": [], "hearth": {"session": "max@example.com"}},
        {"messages": [], "seed": 12345678, "max_tokens": 8192, "stream": True},
    ],
)
def test_no_media_no_token_ids_and_nothing_that_stays_here(body: Any) -> None:
    """None of these is text that leaves."""
    assert kinds_of(body) == frozenset()


def test_the_name_of_a_member_says_what_its_value_is() -> None:
    """Numbers that have no check digits, in the objects that tools give and take."""
    record = {"passport_number": "C4J6R2R80", "user_ssn": "219099999", "phoneNumber": "6175550123"}
    for body in (
        chat({"type": "tool_use", "input": record}),
        chat({"type": "tool_result", "content": json.dumps(record)}),
    ):
        assert kinds_of(body) == {"passport", "tax", "phone"}
    assert kinds_of(chat({"type": "tool_use", "input": {"card": 4111111111111111}})) == {"card"}


def test_an_escaped_text_is_read_as_the_text_it_is() -> None:
    """JSON inside of JSON: line breaks before a number, and letters by their code."""
    text = json.dumps({"note": "Ruf an:\n030 90182050", "where": "Hauptstra\u00dfe 12"})
    assert kinds_of(chat({"type": "text", "text": text})) == {"phone", "address"}


def test_blanks_and_digits_that_only_look_like_others() -> None:
    """As word processors and phones write them."""
    assert kinds_of(
        {"input": "FR14\u00a02004\u202f1010 0505 0001 3M02 606, +33\u00a01\u00a042\u00a068\u00a053\u00a000"}
    ) == {"iban", "phone"}
    assert kinds_of({"input": "card \uff14\uff11\uff11\uff11 1111 1111 1111"}) == {"card"}
    assert kinds_of({"input": "SSN 219\u201109\u20119999"}) == {"tax"}


def test_what_is_longer_than_the_bound_is_named() -> None:
    """What was not read may hold anything."""
    body = {"input": "x" * 100 + " max@example.com"}
    assert kinds_of(body, most=50) == {UNREAD}
    assert len(outgoing({"a": ["y" * 30] * 1_000}, 50).text) < 60
