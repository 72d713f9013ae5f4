"""When a request cannot take the wire it came on, though its target speaks it: some models refuse tools on one of their wires.

Pure: the fact is the model's (`Capabilities.tools_over`), the reading of a body is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.contract.messages import Request
from runtime.contract.targets import Capabilities


def must_leave(dialect: str, body: Mapping[str, Any], can: Capabilities) -> bool:
    """Whether this body must not pass to this model as it is, but be translated to the other wire the model speaks."""
    if can.tools_over is None or can.tools_over == dialect or not (body.get("tools") or body.get("functions")):
        return False
    said = body.get("reasoning")
    effort = body.get("reasoning_effort") or (said.get("effort") if isinstance(said, dict) else None)
    return not _off(effort, can)


def wire_for(request: Request, can: Capabilities, usual: str) -> str:
    """The wire this request goes over to this model; `usual` where any will do."""
    effort = request.thinking.effort if request.thinking is not None else None
    return can.tools_over if can.tools_over and request.tools and not _off(effort, can) else usual


def _off(effort: Any, can: Capabilities) -> bool:
    """Whether the model will not think: told so in its own word, or told nothing where it does not think unasked."""
    if effort is None:
        return not can.thinks_unasked
    return can.thinking_off is not None and effort == can.thinking_off
