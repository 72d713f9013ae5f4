"""A coding agent's default request through the whole door: its own kinds of tools, and the header that names what was lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.door import Setup, opened
from tests.fakes.upstream import Turn, cloud, engine_backend, told, whole

SPAWN = {"type": "function", "name": "spawn_agent", "parameters": {"type": "object", "properties": {}}}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: x"}
USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}


@pytest.mark.parametrize(
    ("members", "names", "degraded"),
    [
        (
            {"tools": [SPAWN, {"type": "namespace", "name": "team", "tools": [SPAWN]}]},
            ["spawn_agent", "team__spawn_agent"],
            None,
        ),
        ({"tools": [SPAWN, {"type": "web_search"}]}, ["spawn_agent"], "tools"),
        ({"tools": [{"type": "custom", "name": "apply_patch", "format": GRAMMAR}]}, ["apply_patch"], "tools"),
        ({"input": [{"type": "additional_tools", "role": "developer", "tools": [SPAWN]}, USER]}, ["spawn_agent"], None),
        ({"tools": [SPAWN], "input": [USER, {"type": "ghost_snapshot"}]}, ["spawn_agent"], "input"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_coding_agents_request(
    tmp_path: Path, members: dict[str, Any], names: list[str], degraded: str | None, stream: bool
) -> None:
    """It is answered, its functions go up, and no turn but the user's."""
    target = cloud("plain", Turn(told("Hello")))
    async with opened(Setup(engine_backend((Turn([whole("x")]),)), [target]), tmp_path) as d:
        body = {"model": "plain", "input": [USER], "stream": stream, "tool_choice": "auto", **members}
        answer = await d.client.post("/v1/responses", json=body)
        assert (answer.status_code, answer.headers.get("x-hearth-degraded")) == (200, degraded)
        assert "Hello" in answer.text
        sent = target.lanes[0].hop.bodies[0]
        assert [tool["function"]["name"] for tool in sent["tools"]] == names
        assert [message["role"] for message in sent["messages"]] == ["user"]
