"""openai-python: chat completions and responses, whole and streamed, tools, schemas, plain completions, models, errors."""

from __future__ import annotations

import json
from collections.abc import Callable

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
    wanted = {
        "id": True,
        "type": True,
        "function": {"name", "arguments"},
    }  # a stream's helper adds what no server knows
    calls = [call.model_dump(include=wanted) for call in message.tool_calls]
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
    return [client.models.retrieve(name).id for name in ("auto", "anthropic/claude-haiku-5-5")]


# The responses wire

RESPONDING = {"type": "function", **TOOL, "strict": True}


def responses_whole() -> object:
    said = client.responses.create(model=MODEL, input=asked("responses_whole", PARIS), temperature=0)
    usage = said.usage
    spent = [usage.input_tokens, usage.output_tokens, usage.input_tokens_details.cached_tokens]
    return {"text": said.output_text, "status": said.status, "usage": spent}


def responses_stream() -> object:
    pieces, kinds = [], []
    with client.responses.stream(model=MODEL, input=asked("responses_stream", PARIS)) as streamed:
        for event in streamed:
            kinds.append(event.type)
            if event.type == "response.output_text.delta":
                pieces.append(event.delta)
        final = streamed.get_final_response()
    whole = "".join(pieces) == final.output_text
    return {"text": final.output_text, "pieces": len(pieces), "whole": whole, "last": kinds[-1]}


def responses_reasoning() -> object:
    said = client.responses.create(
        model=MODEL, input=asked("responses_reasoning", f"think. {PARIS}"), reasoning={"summary": "auto"}
    )
    [thought] = [item for item in said.output if item.type == "reasoning"]
    return [thought.summary[0].text, said.output_text]


def responses_tools() -> object:
    """Stateless: every item of the answer is given back with the results."""
    items = [{"role": "user", "content": asked("responses_tools", f"think. {BOTH}")}]
    first = client.responses.create(model=MODEL, input=items, tools=[RESPONDING], store=False)
    items += [item.model_dump(exclude_none=True) for item in first.output] + results(first)
    return client.responses.create(model=MODEL, input=items, tools=[RESPONDING], store=False).output_text


def responses_tools_streamed() -> object:
    with client.responses.stream(
        model=MODEL, input=asked("responses_tools_streamed", BOTH), tools=[RESPONDING]
    ) as streamed:
        for _ in streamed:
            pass
        first = streamed.get_final_response()
    with client.responses.stream(
        model=MODEL, input=results(first), previous_response_id=first.id, tools=[RESPONDING]
    ) as streamed:
        for _ in streamed:
            pass
        return streamed.get_final_response().output_text


def results(said: openai.types.responses.Response) -> list[dict]:
    calls = [item for item in said.output if item.type == "function_call"]
    return [
        {"type": "function_call_output", "call_id": call.call_id, "output": get_weather(**json.loads(call.arguments))}
        for call in calls
    ]


def responses_going_on() -> object:
    """Three turns of which only the new words are sent."""
    last = None
    for turn in ("one", "two", "three"):
        last = client.responses.create(
            model=MODEL,
            input=asked("responses_going_on", turn),
            previous_response_id=last and last.id,
            instructions="Be brief.",
        )
    return [last.output_text, last.previous_response_id is not None]


def responses_structured() -> object:
    said = client.responses.parse(model=MODEL, input=asked("responses_structured", PARIS), text_format=City)
    return said.output_parsed.model_dump()


def responses_structured_streamed() -> object:
    with client.responses.stream(
        model=MODEL, input=asked("responses_structured_streamed", PARIS), text_format=City
    ) as streamed:
        for _ in streamed:
            pass
        return streamed.get_final_response().output_parsed.model_dump()


def responses_kept() -> object:
    """What is kept of an answer: given, listed, not to be cancelled, and forgotten."""
    first = client.responses.create(model=MODEL, input=asked("responses_kept", "one"))
    said = client.responses.create(model=MODEL, input=asked("responses_kept", "two"), previous_response_id=first.id)
    again = client.responses.retrieve(said.id)
    listed = list(client.responses.input_items.list(said.id, limit=2, order="asc"))
    refused = told_of(lambda: client.responses.cancel(said.id))
    client.responses.delete(said.id)
    return {
        "same": again.to_dict() == said.to_dict(),
        "roles": [item.role for item in listed],
        "refused": refused,
        "gone": told_of(lambda: client.responses.retrieve(said.id)),
        "gone_on": told_of(lambda: client.responses.create(model=MODEL, input="three", previous_response_id=said.id)),
    }


def responses_unkept() -> object:
    said = client.responses.create(model=MODEL, input=asked("responses_unkept", "one"), store=False)
    return told_of(lambda: client.responses.retrieve(said.id))


def told_of(asking: Callable[[], object]) -> object:
    try:
        asking()
    except openai.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.code]
    return None


def wrong_key() -> object:
    return caught(client.with_options(api_key="wrong"), MODEL)


def unknown_model() -> object:
    return caught(client, "no-such-model")


def bad_body() -> object:
    return caught(client, MODEL, n="many")


def caught(asking: openai.OpenAI, name: str, **more: object) -> object:
    return told_of(lambda: asking.chat.completions.create(model=name, messages=user("caught", PARIS), **more))


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
    responses_whole,
    responses_stream,
    responses_reasoning,
    responses_tools,
    responses_tools_streamed,
    responses_going_on,
    responses_structured,
    responses_structured_streamed,
    responses_kept,
    responses_unkept,
    wrong_key,
    unknown_model,
    bad_body,
)
