"""Functions and the choice among them."""

from __future__ import annotations

from cloud.gemini import schema
from cloud.gemini.names import Table
from cloud.losses import Losses
from runtime.contract.codec import Unsupported
from runtime.contract.messages import Request, ToolChoice
from runtime.contract.targets import Capabilities

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
_CHECKED = "VALIDATED"  # text or calls, and calls that keep to their schema


def declared(request: Request) -> list[Table]:
    out = []
    for tool in request.tools:
        parameters = schema.parameters(tool.schema)
        description = {"description": tool.description} if tool.description else {}
        written = {} if parameters is None else {"parametersJsonSchema": parameters}
        out.append({"name": tool.name} | description | written)
    return out


def config(request: Request, can: Capabilities, losses: Losses) -> Table | None:
    """The wire's `toolConfig`; None where the model is free. Raises Unsupported."""
    if not request.tools:
        return None
    if not can.tools:
        raise Unsupported("this model calls no tools", "tools")
    losses.add_if(request.parallel_tool_calls is False, "parallel_tool_calls")
    choice = request.tool_choice or ToolChoice()
    mode = _MODES[choice.mode]
    names = (choice.name,) if choice.mode == "named" else choice.allowed
    if mode == "AUTO" and (names or any(tool.strict for tool in request.tools)):
        mode = _CHECKED
    if mode == "AUTO" and choice == ToolChoice():
        return None
    allowed = {"allowedFunctionNames": list(names)} if names and mode != "NONE" else {}
    return {"functionCallingConfig": {"mode": mode} | allowed}
