"""Fits a body of this wire to a model of another generation than its client wrote it for: changed, left out, and named.

For requests that Hearth itself moved to that model; a client that names its model gets its body there as it is. The rules
are those of a translated request (`write_request`). Members of a form that this module does not know stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloud.anthropic import thinking, tools, turns
from cloud.losses import Losses
from runtime.contract.codec import Fit
from runtime.contract.messages import Thinking
from runtime.contract.targets import Capabilities

_SAMPLING = ("temperature", "top_p", "top_k")
_OFF = ("disabled", "between_tools")
_FORCING = ("any", "tool")


def fitted_body(body: Mapping[str, Any], can: Capabilities) -> Fit:
    """The changes that a model of these capabilities needs."""
    losses, put, drop = Losses(), dict[str, Any](), set[str]()
    # (1) Sampling.
    refused = () if can.sampling else _SAMPLING
    for name in refused:
        if body.get(name) is not None:
            drop.add(name)
            losses.add(name)
    # (2) The amount of thinking. An effort beside no `thinking` is a level of its own where the model has levels.
    given, config = body.get("thinking"), body.get("output_config")
    effort = config.get("effort") if isinstance(config, dict) else None
    asked, most = _asked(given, effort), body.get("max_tokens")
    if asked is not None and isinstance(most, int):
        thought = thinking.plan(asked, can, most, _barred(body), losses)
        wanted = given if given is None and can.thinking_levels else thought.thinking
        if isinstance(given, dict) and _same(given, wanted, can):
            wanted = given
        if wanted is None and given is not None:
            drop.add("thinking")
        elif wanted != given:
            put["thinking"] = wanted
        level = thought.effort if "thinking" in put else None
        if effort and level is None and can.thinking_levels:
            level = thinking.nearest(Thinking(effort), can, losses)
        losses.add_if(effort is not None and level is None and asked.budget is not None, thinking.PARAM)
        left = dict(config) if isinstance(config, dict) else {}
        left.pop("effort", None)
        left |= {"effort": level} if level else {}
        if left and left != config:
            put["output_config"] = left
        elif not left and config:
            drop.add("output_config")
    # (3) A tool the model is made to call, and a last turn of its own.
    choice, messages = body.get("tool_choice"), body.get("messages", ())
    last = messages[-1]["role"] if messages else None
    if isinstance(choice, dict) and choice.get("type") in _FORCING and not can.forced_tools:
        losses.add("tool_choice")
        put["tool_choice"] = {name: value for name, value in choice.items() if name != "name"} | {"type": "auto"}
        if can.mid_system and last == "user":
            text = tools.nudge(str(choice["name"]) if choice.get("name") else None)
            put["messages"] = [*messages, {"role": "system", "content": [{"type": "text", "text": text}]}]
    if last == "assistant" and not can.prefill:
        put["messages"] = turns.ended(messages, can, losses)
    return Fit(put, frozenset(drop), losses.names)


def _asked(given: Any, effort: Any) -> Thinking | None:
    """The amount of thinking that the members ask for; None for none, and for a form that is not known here."""
    if effort is not None and effort not in thinking.ORDER:
        return None
    if given is None:
        return Thinking(effort) if effort else None
    if not isinstance(given, dict):
        return None
    budget, shown = given.get("budget_tokens"), {"omitted": False}.get(str(given.get("display")))
    if given.get("type") in _OFF:
        return Thinking("none")
    if given.get("type") == "adaptive":
        return Thinking(effort or "high", show=shown)  # the wire's own level where none is written
    if given.get("type") == "enabled" and isinstance(budget, int) and not isinstance(budget, bool):
        return Thinking(effort, budget, shown)
    return None


def _same(given: Mapping[str, Any], wanted: Mapping[str, Any] | None, can: Capabilities) -> bool:
    """True if the client's own words already say what is wanted of the model."""
    if wanted is None:  # every model that can be told so knows "disabled"
        return given.get("type") == "disabled" and can.thinking is not None
    return given.get("type") == wanted["type"] and given.get("budget_tokens") == wanted.get("budget_tokens")


def _barred(body: Mapping[str, Any]) -> bool:
    """True if the rest of the body excludes a budget of thinking."""
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") in _FORCING:
        return True
    return turns.bars_budget(
        [message | {"content": _blocks(message["content"])} for message in body.get("messages", ())]
    )


def _blocks(content: Any) -> Sequence[dict[str, Any]]:
    """A message's blocks; a text alone, or a block without a type, is a text."""
    found = content if isinstance(content, list) else []
    return [block for block in found if isinstance(block, dict) and "type" in block] or [{"type": "text"}]
