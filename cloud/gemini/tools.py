"""Functions and the choice among them."""

from __future__ import annotations

from typing import Any

from cloud.gemini import schema
from cloud.gemini.names import Table
from cloud.losses import Losses
from runtime.contract.codec import Unsupported
from runtime.contract.messages import Request, Tool, ToolChoice
from runtime.contract.targets import Capabilities

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
_CHECKED = "VALIDATED"  # words or calls, and calls that keep to their schema


def declared(request: Request) -> list[Table]:
    return [_declared(tool) for tool in request.tools]


def config(request: Request, can: Capabilities, losses: Losses) -> Table | None:
    """The wire's `toolConfig`; None where the model is free. Raises Unsupported."""
    if not request.tools:
        return None
    if not can.tools:
        raise Unsupported("this model calls no tools", "tools")
    losses.add_if(request.parallel_tool_calls is False, "parallel_tool_calls")
    calling = _calling(request.tool_choice or ToolChoice(), any(tool.strict for tool in request.tools))
    return {"functionCallingConfig": calling} if calling else None


def _calling(choice: ToolChoice, strict: bool) -> Table | None:
    mode = _MODES[choice.mode]
    names = (choice.name,) if choice.mode == "named" else choice.allowed
    if mode == "AUTO" and (strict or names):
        mode = _CHECKED
    if mode == "AUTO" and choice == ToolChoice():
        return None
    return {"mode": mode} | ({"allowedFunctionNames": list(names)} if names and mode != "NONE" else {})


def _declared(tool: Tool) -> Table:
    out: dict[str, Any] = {"name": tool.name}
    if tool.description:
        out["description"] = tool.description
    parameters = schema.parameters(tool.schema)
    return out if parameters is None else out | {"parametersJsonSchema": parameters}
