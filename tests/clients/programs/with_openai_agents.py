"""The OpenAI Agents SDK: one agent with two tools does $TASK, streamed over the responses wire, and prints its last words."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import agents
import openai

client = openai.AsyncOpenAI(base_url=f"{os.environ['HEARTH_URL']}/v1", api_key=os.environ["HEARTH_KEY"])
agents.set_tracing_disabled(True)
agents.set_default_openai_client(client, use_for_tracing=False)


@agents.function_tool
def read_file(path: str) -> str:
    """Reads a file."""
    return Path(path).read_text()


@agents.function_tool
def write_file(path: str, text: str) -> str:
    """Writes a file."""
    Path(path).write_text(text)
    return "written"


async def main() -> None:
    agent = agents.Agent(
        "clerk", instructions="Use your tools.", model=os.environ["HEARTH_ASK"], tools=[read_file, write_file]
    )
    run = agents.Runner.run_streamed(agent, os.environ["TASK"])
    async for _ in run.stream_events():
        pass
    print(run.final_output)


asyncio.run(main())
