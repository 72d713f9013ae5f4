"""anthropic-python, of either generation: messages whole and streamed, tools, schemas, token counts, models, errors."""

from __future__ import annotations

import anthropic
from cases import BOTH, KEY, MODEL, PARIS, SCHEMA, URL, City, asked, get_weather, report

client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=30)
TOOL = {"name": "get_weather", "description": "The weather in a city.", "input_schema": SCHEMA}
LIMIT = 500


def user(case: str, text: str) -> list[dict]:
    return [{"role": "user", "content": asked(case, text)}]


def tokens(usage: anthropic.types.Usage) -> list[int]:
    """All of the prompt, as the other clients count it; of the answer; from a cache."""
    cached = usage.cache_read_input_tokens or 0
    return [usage.input_tokens + cached, usage.output_tokens, cached]


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def generation() -> object:
    """How it shows its key, and the version of the wire it speaks."""
    return [*client.auth_headers, client.default_headers["anthropic-version"]]


def whole() -> object:
    said = client.messages.create(model=MODEL, max_tokens=LIMIT, system="Be brief.", messages=user("whole", PARIS))
    return {"text": text_of(said), "finish": said.stop_reason, "usage": tokens(said.usage)}


def stream() -> object:
    with client.messages.stream(model=MODEL, max_tokens=LIMIT, messages=user("stream", PARIS)) as streamed:
        pieces = list(streamed.text_stream)
        said = streamed.get_final_message()
    return {"text": "".join(pieces), "pieces": len(pieces), "finish": said.stop_reason, "usage": tokens(said.usage)}


def events() -> object:
    """The raw events' types, runs of the same one folded."""
    types: list[str] = []
    for event in client.messages.create(model=MODEL, max_tokens=LIMIT, messages=user("events", PARIS), stream=True):
        if types[-1:] != [event.type]:
            types.append(event.type)
    return types


def thinking() -> object:
    said = client.messages.create(model=MODEL, max_tokens=LIMIT, messages=user("thinking", f"think. {PARIS}"))
    return [[block.type, getattr(block, block.type)] for block in said.content]


def tools() -> object:
    messages = user("tools", BOTH)
    first = client.messages.create(model=MODEL, max_tokens=LIMIT, messages=messages, tools=[TOOL])
    assert first.stop_reason == "tool_use"
    return answered(messages, first)


def tools_streamed() -> object:
    messages = user("tools_streamed", BOTH)
    with client.messages.stream(model=MODEL, max_tokens=LIMIT, messages=messages, tools=[TOOL]) as streamed:
        return answered(messages, streamed.get_final_message())


def signed_tools() -> object:
    """A loop whose calls come after thinking, which is given back with them."""
    messages = user("signed_tools", f"think. {BOTH}")
    with client.messages.stream(model=MODEL, max_tokens=LIMIT, messages=messages, tools=[TOOL]) as streamed:
        return answered(messages, streamed.get_final_message())


def answered(messages: list[dict], message: anthropic.types.Message) -> str:
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": get_weather(**block.input)}
        for block in message.content
        if block.type == "tool_use"
    ]
    messages += [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
    return text_of(client.messages.create(model=MODEL, max_tokens=LIMIT, messages=messages, tools=[TOOL]))


def tool_runner() -> object:
    """The client's own tool loop."""

    @anthropic.beta_tool
    def get_weather(city: str) -> str:
        """The weather in a city.

        Args:
            city: Where.
        """
        return globals()["get_weather"](city)

    runner = client.beta.messages.tool_runner(
        model=MODEL, max_tokens=LIMIT, messages=user("tool_runner", BOTH), tools=[get_weather]
    )
    return text_of(runner.until_done())


def forced_tool() -> object:
    said = client.messages.create(
        model=MODEL,
        max_tokens=LIMIT,
        messages=user("forced_tool", PARIS),
        tools=[TOOL],
        tool_choice={"type": "tool", "name": "get_weather"},
    )
    return said.content[0].input


def structured() -> object:
    said = client.messages.parse(model=MODEL, max_tokens=LIMIT, messages=user("structured", PARIS), output_format=City)
    return said.parsed_output.model_dump()


def structured_streamed() -> object:
    with client.messages.stream(
        model=MODEL, max_tokens=LIMIT, messages=user("structured_streamed", PARIS), output_format=City
    ) as streamed:
        return streamed.get_final_message().parsed_output.model_dump()


def count_tokens() -> object:
    return client.messages.count_tokens(model=MODEL, messages=user("count", PARIS), tools=[TOOL]).input_tokens


def models() -> object:
    return [model.id for model in client.models.list()]


def model() -> object:
    found = client.models.retrieve("auto")
    return [found.id, found.type]


def wrong_key() -> object:
    return caught(client.with_options(api_key="wrong"), MODEL)


def unknown_model() -> object:
    return caught(client, "no-such-model")


def bad_body() -> object:
    return caught(client, MODEL, max_tokens="many")


def caught(asking: anthropic.Anthropic, name: str, **more: object) -> object:
    try:
        asking.messages.create(**{"model": name, "max_tokens": LIMIT, "messages": user("caught", PARIS), **more})
    except anthropic.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.body["error"]["type"]]
    return None


report(
    generation,
    whole,
    stream,
    events,
    thinking,
    tools,
    tools_streamed,
    signed_tools,
    tool_runner,
    forced_tool,
    structured,
    structured_streamed,
    count_tokens,
    models,
    model,
    wrong_key,
    unknown_model,
    bad_body,
)
