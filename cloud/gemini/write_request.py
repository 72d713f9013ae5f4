"""A request as the wire's body. Pure; every member in the same order each time, so that the bytes of a prefix stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    losses = Losses()
    body = _body(request, target.capabilities, losses)
    for name in _NOWHERE:
        losses.add_if(bool(getattr(request, name)), name)
    losses.add_if(request.service_tier not in _PLAIN_TIERS, "service_tier")
    return Encoded(HttpCall(path(target.model, api_version), msgspec.json.encode(body)), losses.names)


def _body(request: Request, can: Capabilities, losses: Losses) -> Table:
    system, rest = turns.head(request.messages)
    if request.format is not None and not generation.holds_format(request, can):
        losses.add("response_format")
        system.append({"text": instruction(request.format)})
    said = turns.turns(rest, len(request.messages) - len(rest), can, losses)
    body: Table = {}
    if system:
        body["systemInstruction"] = {"parts": system}
    declared = tools.declared(request)
    calling = tools.config(request, can, losses)
    ours = [{"functionDeclarations": declared}] if declared else []
    offered = ours + extras.tools(request)
    if offered:
        body["tools"] = offered
    if calling:
        body["toolConfig"] = calling
    settings = generation.config(request, can, losses)
    if settings:
        body["generationConfig"] = settings
    body = extras.merged(body, extras.members(request, losses))
    return _agreed(body, can) | {"contents": turns.ended(said, can, losses)}


def _agreed(body: Mapping[str, Any], can: Capabilities) -> Table:
    """What the client's own members change in ours: never two schemas, never two measures of thinking."""
    out = dict(body)
    settings = dict(out.get("generationConfig") or {})
    if settings.get("responseSchema") is not None and settings.get("responseJsonSchema") is not None:
        raise Unsupported("two schemas for one answer", "response_format")
    thoughts = settings.get("thinkingConfig")
    if isinstance(thoughts, dict) and {"thinkingLevel", "thinkingBudget"} <= set(thoughts):
        unwanted = "thinkingBudget" if can.thinking == "level" else "thinkingLevel"
        settings["thinkingConfig"] = {name: value for name, value in thoughts.items() if name != unwanted}
        out["generationConfig"] = settings
    if isinstance(out.get("tools"), list):
        out["tools"] = extras.once(out["tools"])
    kinds = {name for tool in out.get("tools") or () if isinstance(tool, dict) for name in tool}
    if "functionDeclarations" in kinds and len(kinds) > 1 and can.signed_calls:
        # Models that sign their calls take both kinds of tools together, if told so.
        out["toolConfig"] = {"includeServerSideToolInvocations": True} | (out.get("toolConfig") or {})
    return out
