"""A request as the wire's body. Pure. Members are always written in the same order, so that a prefix keeps its bytes."""

from __future__ import annotations

import msgspec

from cloud.gemini import extras, generation, tools, turns
from cloud.gemini.names import Table, path
from cloud.losses import Losses
from runtime.contract.codec import Encoded, Unsupported
from runtime.contract.hop import HttpCall
from runtime.contract.messages import Request
from runtime.contract.targets import Capabilities, Target
from runtime.dialects.format import instruction

_NOWHERE = ("user", "verbosity", "metadata")  # parameters the wire has no member for
_PLAIN_TIERS = frozenset({None, "auto", "default", "standard"})


def write_request(request: Request, target: Target, api_version: str) -> Encoded:
    """Raises Unsupported."""
    losses, can = Losses(), target.capabilities
    # (1) The conversation. A format that the wire cannot hold the model to is asked for in words.
    system, rest = turns.head(request.messages)
    if request.format is not None and not generation.holds_format(request, can):
        losses.add("response_format")
        system.append({"text": instruction(request.format)})
    contents = turns.turns(rest, len(request.messages) - len(rest), can, losses)
    # (2) Tools and settings.
    declared = tools.declared(request)
    members: Table = {
        "systemInstruction": {"parts": system} if system else None,
        "tools": ([{"functionDeclarations": declared}] if declared else []) + extras.tools(request, losses),
        "toolConfig": tools.config(request, can, losses),
        "generationConfig": generation.config(request, can, losses),
    }
    # (3) The client's own members of this wire.
    body = extras.merged({name: value for name, value in members.items() if value}, extras.members(request, losses))
    body = _consistent(body, can) | {"contents": turns.ended(contents, can, losses)}
    # (4) Hints without a member.
    for name in _NOWHERE:
        losses.add_if(bool(getattr(request, name)), name)
    losses.add_if(request.service_tier not in _PLAIN_TIERS, "service_tier")
    return Encoded(HttpCall(path(target.model, api_version), msgspec.json.encode(body)), losses.names)


def _consistent(body: Table, can: Capabilities) -> Table:
    """The body after the client's own members changed it: one schema, one measure of thinking, each tool once."""
    settings = body.get("generationConfig")
    if isinstance(settings, dict):
        if settings.get("responseSchema") is not None and settings.get("responseJsonSchema") is not None:
            raise Unsupported("two schemas for one answer", "response_format")
        thoughts = settings.get("thinkingConfig")
        if isinstance(thoughts, dict) and {"thinkingLevel", "thinkingBudget"} <= set(thoughts):
            unwanted = "thinkingBudget" if can.thinking == "level" else "thinkingLevel"
            thoughts = {name: value for name, value in thoughts.items() if name != unwanted}
            body = body | {"generationConfig": settings | {"thinkingConfig": thoughts}}
    if isinstance(body.get("tools"), list):
        body = body | {"tools": extras.once(body["tools"])}
        kinds = {name for tool in body["tools"] if isinstance(tool, dict) for name in tool}
        config = body.get("toolConfig") or {}
        if "functionDeclarations" in kinds and len(kinds) > 1 and can.signed_calls and isinstance(config, dict):
            # Models that sign their calls take both kinds of tools together, if the request says so.
            body = body | {"toolConfig": {"includeServerSideToolInvocations": True} | config}
    return body
