"""pydantic-ai agents on either wire ($HEARTH_WIRE: openai or anthropic): text, streams, tools, typed output, errors."""

from __future__ import annotations

import asyncio
import os

from cases import BOTH, KEY, MODEL, PARIS, URL, City, asked, get_weather, report
from pydantic_ai import Agent, ModelHTTPError, NativeOutput
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import RunUsage


def model(name: str = MODEL, key: str = KEY) -> Model:
    if os.environ["HEARTH_WIRE"] == "anthropic":
        # The names of Hearth's models do not tell it what they can.
        can = {"supports_json_schema_output": True}
        return AnthropicModel(name, provider=AnthropicProvider(base_url=URL, api_key=key), profile=can)
    return OpenAIChatModel(name, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key=key))


def tokens(usage: RunUsage) -> list[int]:
    return [usage.input_tokens, usage.output_tokens, usage.cache_read_tokens]


def whole() -> object:
    said = Agent(model(), instructions="Be brief.").run_sync(asked("whole", PARIS))
    return {"text": said.output, "finish": said.response.finish_reason, "usage": tokens(said.usage)}


def stream() -> object:
    async def streamed() -> object:
        async with Agent(model()).run_stream(asked("stream", PARIS)) as said:
            pieces = [piece async for piece in said.stream_text(delta=True, debounce_by=None)]
            return {
                "text": "".join(pieces),
                "pieces": len(pieces),
                "finish": said.response.finish_reason,
                "usage": tokens(said.usage),
            }

    return asyncio.run(streamed())


def thinking() -> object:
    said = Agent(model()).run_sync(asked("thinking", f"think. {PARIS}"))
    return [[part.part_kind, part.content] for part in said.response.parts]


def tools() -> object:
    return Agent(model(), tools=[get_weather]).run_sync(asked("tools", BOTH)).output


def tools_streamed() -> object:
    async def streamed() -> str:
        async with Agent(model(), tools=[get_weather]).run_stream(asked("tools_streamed", BOTH)) as said:
            return await said.get_output()

    return asyncio.run(streamed())


def structured() -> object:
    """A schema of the wire's own."""
    return Agent(model(), output_type=NativeOutput(City)).run_sync(asked("structured", PARIS)).output.model_dump()


def typed_by_tool() -> object:
    """The agent's own way: an output tool that must be called, after a tool of ours."""
    agent = Agent(model(), output_type=City, tools=[get_weather])
    said = agent.run_sync(asked("typed_by_tool", 'call get_weather with {"city": "Oslo"}'))
    return said.output.model_dump()


def wrong_key() -> object:
    return caught(model(key="wrong"))


def unknown_model() -> object:
    return caught(model("no-such-model"))


def caught(asking: Model) -> object:
    try:
        Agent(asking).run_sync(asked("caught", PARIS))
    except ModelHTTPError as error:
        return [type(error).__name__, error.status_code]
    return None


report(whole, stream, thinking, tools, tools_streamed, structured, typed_by_tool, wrong_key, unknown_model)
