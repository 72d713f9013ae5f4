"""LiveKit Agents: an agent with two tools does $TASK in a session of text, streamed over chat, and prints its last words."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from livekit.agents import Agent, AgentSession, function_tool
from livekit.plugins import openai


@function_tool
async def read_file(path: str) -> str:
    """Reads a file."""
    return await asyncio.to_thread(Path(path).read_text)


@function_tool
async def write_file(path: str, text: str) -> str:
    """Writes a file."""
    await asyncio.to_thread(Path(path).write_text, text)
    return "written"


async def main() -> None:
    model = openai.LLM(
        model=os.environ["HEARTH_ASK"], base_url=f"{os.environ['HEARTH_URL']}/v1", api_key=os.environ["HEARTH_KEY"]
    )
    async with model, AgentSession(llm=model) as session:
        await session.start(Agent(instructions="Use your tools.", tools=[read_file, write_file]))
        await session.run(user_input=os.environ["TASK"])
        said = [item for item in session.history.items if item.type == "message" and item.role == "assistant"]
        print(said[-1].text_content.replace("\n", " "))


asyncio.run(main())
