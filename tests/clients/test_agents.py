"""Agents do a whole task with their own tools through Hearth, on each kind of target, streamed, before servers that are strict.

What reached the model is checked as well as what the agent did: a server that refuses a body has said so, the calls and their
results stand in order, and reasoning went back to the model that signed it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local_models.installer.install import UnfitBoxError
from tests.clients import agents
from tests.clients.agents import LINE, NEW, NOTE, TARGETS, WORD, Agent, Run
from tests.clients.serving import Served, run
from tests.fakes import scripted_generate, scripted_messages, scripted_responses

# How a target's own reasoning stands in a body that goes on with it.
SIGNED = {
    "thinker": scripted_responses.SEALED,
    "openai": scripted_responses.SEALED,
    "claude": scripted_messages.SIGNATURE,
    "gemini": scripted_generate.SIGNATURE,
}
PAIRS = [
    pytest.param(
        agent,
        model,
        id=f"{agent.name}-{model}",
        marks=(pytest.mark.clients, *([pytest.mark.clients_ci] if (agent.name, model) in agents.IN_CI else [])),
    )
    for agent in agents.ALL
    for model in TARGETS
    if not agent.models or model in agent.models
]


@pytest.mark.parametrize(("agent", "model"), PAIRS)
def test_a_whole_task(served: Served, tmp_path: Path, agent: Agent, model: str) -> None:
    """Two calls at once, one more that depends on them, and the last words."""
    (tmp_path / NOTE).write_text(f"The word is {WORD}.\n")
    mark = f"[agents/{agent.name}/{model}]"
    prompt = f"{agent.task(tmp_path)} {mark}"
    try:
        started = agent.start(Run(served, agent.models.get(model, model), tmp_path, prompt))
    except UnfitBoxError as unfit:
        pytest.skip(str(unfit))
    printed = run(started.command, tmp_path, started.env, stdin=started.stdin)

    said = agent.words(printed)
    assert said.startswith("The tools said:") and LINE in said, printed
    assert (tmp_path / NEW).read_text().strip() == LINE
    exchanges = [each for each in served.exchanges(mark) if each["body"].get("tools")]
    assert [each["faults"] for each in exchanges] == [[], [], []]
    assert {each["path"] for each in exchanges} == {TARGETS[model]}
    assert all(each["body"].get("stream", each["path"] == agents.GENERATE) for each in exchanges)
    check_transcript(served.asked(mark)[-1]["messages"], agent, tmp_path)
    if agent is agents.CODEX:  # its own bytes have ids of messages, which no translation writes
        assert {"id" in each["body"].get("input", [{}])[0] for each in exchanges} == {model == "openai"}
    if model in SIGNED:
        assert json.dumps(exchanges[-1]["body"]).count(SIGNED[model]) == 2


def check_transcript(messages: list[dict[str, Any]], agent: Agent, folder: Path) -> None:
    """The task, two calls, their results, a third call, its result: each once and in this order, whatever else is said.

    The two were asked for at once: an agent that runs them at once may write them down as they began or ended.
    """
    calls: list[tuple[str, Any]] = []
    results: list[str] = []
    for message in messages:
        functions = [call["function"] for call in message.get("tool_calls") or ()]
        calls += [(function["name"], json.loads(function["arguments"])) for function in functions]
        if message["role"] == "tool":
            assert len(results) < len(calls)
            results.append(json.dumps(message["content"]))
    assert sorted(calls[:2], key=str) == sorted((agent.read(folder), agent.write(folder)), key=str)
    assert calls[2:] == [agent.show(folder)]
    assert len(results) == 3
    assert any(WORD in result for result in results[:2])
    assert LINE in results[2]
