"""Which of its wires a model is asked on: some models refuse tools on one of them.

Pure: the fact is the model's (`Capabilities.tools_over`), the body is read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.contract.messages import Request, Thinking
from runtime.contract.targets import Capabilities


def must_translate(dialect: str, body: Mapping[str, Any], can: Capabilities) -> bool:
    """True if this body must not pass through on the client's wire, because the model takes its tools on another one."""
    if can.tools_over is None or can.tools_over == dialect or not (body.get("tools") or body.get("functions")):
        return False
    reasoning = body.get("reasoning")
    reasoning = reasoning if isinstance(reasoning, dict) else {}
    effort = body.get("reasoning_effort") or reasoning.get("effort")
    return not _reasoning_off(effort, reasoning.get("max_tokens"), can)


def wire_for(request: Request, can: Capabilities, usual: str) -> str:
    """The wire this request takes to the model; `usual` if any will do."""
    asked = request.thinking or Thinking()
    off = _reasoning_off(asked.effort, asked.budget, can)
    return can.tools_over if can.tools_over and request.tools and not off else usual


def _reasoning_off(effort: Any, budget: Any, can: Capabilities) -> bool:
    """True if reasoning is off, explicitly or by the model's default. budget: tokens, which become an effort."""
    if effort is None and budget:
        return False
    if effort is None and budget is None:
        return not can.thinks_unasked
    effort = effort or "none"
    return can.thinking_off is not None and effort == can.thinking_off
