"""langchain-openai: text, streams with usage, a tool loop, typed output both ways, errors."""

from __future__ import annotations

from functools import reduce
from operator import add

import openai
from cases import BOTH, KEY, MODEL, PARIS, URL, City, asked, get_weather, report
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

weather = tool(get_weather)


def model(name: str = MODEL, key: str = KEY) -> ChatOpenAI:
    return ChatOpenAI(model=name, api_key=key, base_url=f"{URL}/v1", max_retries=0, timeout=30, stream_usage=True)


def tokens(message: AIMessage) -> list[int]:
    usage = message.usage_metadata
    return [usage["input_tokens"], usage["output_tokens"], usage["input_token_details"]["cache_read"]]


def whole() -> object:
    said = model().invoke(asked("whole", PARIS))
    return {"text": said.content, "finish": said.response_metadata["finish_reason"], "usage": tokens(said)}


def stream() -> object:
    chunks = list(model().stream(asked("stream", PARIS)))
    said = reduce(add, chunks)
    return {
        "text": said.content,
        "pieces": len([chunk for chunk in chunks if chunk.content]),
        "finish": said.response_metadata["finish_reason"],
        "usage": tokens(said),
    }


def tools() -> object:
    question = HumanMessage(asked("tools", BOTH))
    return answered(question, model().bind_tools([weather]).invoke([question]))


def tools_streamed() -> object:
    question = HumanMessage(asked("tools_streamed", BOTH))
    return answered(question, reduce(add, model().bind_tools([weather]).stream([question])))


def answered(question: HumanMessage, called: AIMessage | AIMessageChunk) -> str:
    results: list[ToolMessage] = [weather.invoke(call) for call in called.tool_calls]
    return model().bind_tools([weather]).invoke([question, called, *results]).content


def structured() -> object:
    typed = model().with_structured_output(City, method="json_schema")
    return typed.invoke(asked("structured", PARIS)).model_dump()


def typed_by_tool() -> object:
    typed = model().with_structured_output(City, method="function_calling")
    return typed.invoke(asked("typed_by_tool", PARIS)).model_dump()


def json_mode() -> object:
    typed = model().with_structured_output(method="json_mode")
    return typed.invoke(asked("json_mode", f"Answer in JSON. {PARIS}"))


def wrong_key() -> object:
    return caught(model(key="wrong"))


def unknown_model() -> object:
    return caught(model("no-such-model"))


def caught(asking: ChatOpenAI) -> object:
    try:
        asking.invoke(asked("caught", PARIS))
    except openai.APIStatusError as error:
        return [type(error).__name__, error.status_code]
    return None


report(whole, stream, tools, tools_streamed, structured, typed_by_tool, json_mode, wrong_key, unknown_model)
