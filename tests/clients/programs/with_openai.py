"""openai-python: chat completions whole and streamed, tools, schemas, plain completions, models, errors."""

from __future__ import annotations

import json

import openai
from cases import BOTH, KEY, MODEL, PARIS, TOOL, URL, City, asked, get_weather, report

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=30)
FUNCTION = {"type": "function", "function": TOOL}


def user(case: str, text: str) -> list[dict]:
    return [{"role": "user", "content": asked(case, text)}]


def tokens(usage: openai.types.CompletionUsage) -> list[int]:
    return [usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens]


def whole() -> object:
    said = client.chat.completions.create(model=MODEL, messages=user("whole", PARIS), temperature=0)
    choice = said.choices[0]
    return {"text": choice.message.content, "finish": choice.finish_reason, "usage": tokens(said.usage)}


def stream() -> object:
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=user("stream", PARIS), stream=True, stream_options={"include_usage": True}
        )
    )
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    finishes = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
    usages = [tokens(chunk.usage) for chunk in chunks if chunk.usage]
    return {"text": "".join(pieces), "pieces": len(pieces), "finish": finishes[0], "usage": usages[0]}


def stream_without_usage() -> object:
    """Whether a client that did not ask for usage is shown any."""
    chunks = client.chat.completions.create(model=MODEL, messages=user("plain", PARIS), stream=True)
    return [chunk.usage is not None or not chunk.choices for chunk in chunks].count(True)


def reasoning() -> object:
    said = client.chat.completions.create(model=MODEL, messages=user("reasoning", f"think. {PARIS}"))
    message = said.choices[0].message
    return [message.model_extra.get("reasoning_content"), message.content]


def tools() -> object:
    messages = user("tools", BOTH)
    first = client.chat.completions.create(model=MODEL, messages=messages, tools=[FUNCTION])
    assert first.choices[0].finish_reason == "tool_calls"
    return answered(messages, first.choices[0].message)


def tools_streamed() -> object:
    messages = user("tools_streamed", BOTH)
    with client.chat.completions.stream(model=MODEL, messages=messages, tools=[FUNCTION]) as streamed:
        for _ in streamed:
            pass
        return answered(messages, streamed.get_final_completion().choices[0].message)


def signed_tools() -> object:
    """A loop whose calls come after reasoning; only what the wire itself knows of them is given back."""
    messages = user("signed_tools", f"think. {BOTH}")
    first = client.chat.completions.create(model=MODEL, messages=messages, tools=[FUNCTION])
    return answered(messages, first.choices[0].message)


def answered(messages: list[dict], message: openai.types.chat.ChatCompletionMessage) -> str:
    calls = [call.model_dump(include={"id": True, "type": True, "function": True}) for call in message.tool_calls]
    messages.append({"role": "assistant", "content": message.content, "tool_calls": calls})
    for call in message.tool_calls:
        given = get_weather(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": given})
    last = client.chat.completions.create(model=MODEL, messages=messages, tools=[FUNCTION])
    return last.choices[0].message.content


def forced_tool() -> object:
    said = client.chat.completions.create(
        model=MODEL,
        messages=user("forced_tool", PARIS),
        tools=[FUNCTION],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
    )
    return json.loads(said.choices[0].message.tool_calls[0].function.arguments)


def structured() -> object:
    said = client.chat.completions.parse(model=MODEL, messages=user("structured", PARIS), response_format=City)
    return said.choices[0].message.parsed.model_dump()


def structured_streamed() -> object:
    with client.chat.completions.stream(
        model=MODEL, messages=user("structured_streamed", PARIS), response_format=City
    ) as streamed:
        for _ in streamed:
            pass
        return streamed.get_final_completion().choices[0].message.parsed.model_dump()


def headers() -> object:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=user("headers", PARIS))
    return {name: value for name, value in raw.headers.items() if name.startswith("x-hearth-")}


def hints() -> object:
    raw = client.chat.completions.with_raw_response.create(
        model="auto", messages=user("hints", PARIS), extra_body={"hearth": {"requires": ["hipaa"]}}
    )
    return raw.headers["x-hearth-target"]


def completions() -> object:
    return client.completions.create(model=MODEL, prompt=asked("completions", "Paris is")).choices[0].text


def models() -> object:
    return [model.id for model in client.models.list()]


def model() -> object:
    return client.models.retrieve("auto").id


def wrong_key() -> object:
    return caught(client.with_options(api_key="wrong"), MODEL)


def unknown_model() -> object:
    return caught(client, "no-such-model")


def bad_body() -> object:
    return caught(client, MODEL, n="many")


def caught(asking: openai.OpenAI, name: str, **more: object) -> object:
    try:
        asking.chat.completions.create(model=name, messages=user("caught", PARIS), **more)
    except openai.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.code]
    return None


report(
    whole,
    stream,
    stream_without_usage,
    reasoning,
    tools,
    tools_streamed,
    signed_tools,
    forced_tool,
    structured,
    structured_streamed,
    headers,
    hints,
    completions,
    models,
    model,
    wrong_key,
    unknown_model,
    bad_body,
)
