"""A request as one body of this wire, and the header with the version that the body is written for.

Meaning that the target cannot carry is refused (`Unsupported`). Hints are dropped or weakened, and named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec

from cloud.anthropic import caching, extras, schema, thinking, tools, turns
from cloud.anthropic.names import API_VERSION, SAMPLING_VERSION
from cloud.losses import Losses
from runtime.contract.codec import Unsupported
from runtime.contract.messages import Request
from runtime.contract.targets import Capabilities, Target
from runtime.dialects.format import instruction

_MOST_TOKENS = 64_000  # of an answer whose client set no limit
_UNKNOWN_TOKENS = 32_000
_WHILE_THINKING = {"temperature": 1, "top_p": 0.95, "top_k": math.inf}  # the least values taken while the model thinks
_TIERS = {"auto": "auto", "priority": "auto", "default": "standard_only", "standard_only": "standard_only"}


@dataclass(frozen=True, slots=True)
class Written:
    """body: JSON. betas: "" for none. dropped: the client's parameters that were lost or weakened.

    pauses: True if tools run at the vendor, so that the answer may pause.
    """

    body: bytes
    version: str
    betas: str
    dropped: tuple[str, ...]
    pauses: bool


def write_request(request: Request, target: Target, version: str | None) -> Written:
    """version: the API version to keep to; None chooses. Raises Unsupported."""
    losses, can = Losses(), target.capabilities
    # (1) Parameters of meaning that the wire has no member for.
    meant = {"n": request.n > 1, "logprobs": request.logprobs is not None, "logit_bias": bool(request.logit_bias)}
    for param, asked in meant.items():
        if asked:
            raise Unsupported(f"{param!r} has no equal on this model's wire", param)
    # (2) The conversation and its tools.
    body: dict[str, Any] = {"model": target.model, "max_tokens": _max_tokens(request, can, losses), "stream": True}
    body |= _conversation(request, target, losses)
    declared, choice = tools.declared(request, can, losses), tools.choice(request, can, losses)
    body |= ({"tools": declared} if declared else {}) | ({"tool_choice": choice} if choice else {})
    # (3) Thinking, and the form of the answer.
    barred = tools.forces(request) or turns.bars_budget(body["messages"])
    thought = thinking.plan(request.thinking, can, body["max_tokens"], barred, losses)
    if thought.thinking:
        body["thinking"] = thought.thinking
    config: dict[str, Any] = {"effort": thought.effort} if thought.effort else {}
    if (native := _native(request, can)) is not None:
        config["format"] = {"type": "json_schema", "schema": native}
    if config:
        body["output_config"] = config
    if can.thinking_bound:
        _unbind(body)
    # (4) Settings; the client's own members of this wire win over all before, and of an object member by member.
    sampling = _sampling(request, can, thought.on, version, losses)
    body |= sampling | _settings(request, losses)
    for name, value in extras.members(request, losses).items():
        derived = body.get(name)
        joined = isinstance(derived, dict) and isinstance(value, dict) and name != "thinking"
        body[name] = derived | value if joined and derived is not None else value
    caching.placed(body, can.cache_minimum, losses)
    # (5) Hints without a member.
    losses.add_if(request.seed is not None, "seed")
    losses.add_if(bool(request.presence_penalty), "presence_penalty")
    losses.add_if(bool(request.frequency_penalty), "frequency_penalty")
    losses.add_if(request.verbosity is not None, "verbosity")
    chosen = version or (SAMPLING_VERSION if sampling else API_VERSION)
    betas = extras.betas(request, body, losses)
    return Written(msgspec.json.encode(body), chosen, betas, losses.names, extras.runs_there(body))


def _max_tokens(request: Request, can: Capabilities, losses: Losses) -> int:
    """The client's limit; without one, long enough for any answer and short enough to leave the prompt room."""
    most = can.max_output_tokens
    if request.max_tokens is not None:
        losses.add_if(most is not None and request.max_tokens > most, "max_tokens")
        return min(request.max_tokens, most or request.max_tokens)
    bounds = [most or _UNKNOWN_TOKENS, _MOST_TOKENS]
    return min(bounds if can.context_tokens is None else [*bounds, can.context_tokens // 6])


def _conversation(request: Request, target: Target, losses: Losses) -> dict[str, Any]:
    """The members `system` and `messages`."""
    can = target.capabilities
    system, rest = turns.head(request.messages)
    out = turns.turns(rest, len(request.messages) - len(rest), target, losses)
    # A client that asks for its own text to be continued must not get a new turn.
    asked = any(isinstance(each, dict) and each.get("continue_final_message") for each in request.extra.values())
    if asked and not (can.prefill and out[-1]["role"] == "assistant"):
        raise Unsupported("this model does not continue a turn of its own", "continue_final_message")
    out = turns.ended(out, can, losses)
    if tools.forces(request) and not can.forced_tools:
        wanted = request.tool_choice.name if request.tool_choice else None
        out = turns.instructed(out, tools.nudge(wanted), target)
    # A form of the answer that the wire cannot hold the model to is asked for in words.
    if request.format is not None and _native(request, can) is None:
        losses.add("response_format")
        system.append({"type": "text", "text": instruction(request.format)})
    return ({"system": system} if system else {}) | {"messages": out}


def _native(request: Request, can: Capabilities) -> dict[str, Any] | None:
    """The schema that the wire holds the model to; None where it cannot."""
    if request.format is None or request.format.schema is None or not can.structured_output:
        return None
    try:
        return schema.closed(request.format.schema)
    except schema.Unshapable:
        return None


def _unbind(body: dict[str, Any]) -> None:
    """Lets the vendor leave out thinking that no longer fits the turns before it; it would refuse the whole request.

    Turns differ from those the model saw where a client has cut its history, or where a nudge was added to a request.
    """
    mode = body.get("thinking", {}).get("type")
    if mode == "disabled":
        body["messages"] = turns.without_thinking(body["messages"])
    elif mode == "adaptive" and turns.holds_thinking(body["messages"]):
        body["thinking"] = body["thinking"] | {"block_binding": {"prefix_mismatch_behavior": "drop_block"}}


def _sampling(request: Request, can: Capabilities, thinks: bool, version: str | None, losses: Losses) -> dict[str, Any]:
    """Sampling parameters: only older models take them, only under the older version, and thinking bounds them.

    Of temperature and top_p such a model takes one.
    """
    given = {"temperature": request.temperature, "top_p": request.top_p, "top_k": request.top_k}
    asked = {name: value for name, value in given.items() if value is not None}
    taken = asked if can.sampling and version in (None, SAMPLING_VERSION) else {}
    if thinks:
        taken = {name: value for name, value in taken.items() if value >= _WHILE_THINKING[name]}
    if "temperature" in taken:
        one = {name: value for name, value in taken.items() if name != "top_p"}
        taken = one | {"temperature": min(one["temperature"], 1)}
    for name, value in asked.items():
        losses.add_if(taken.get(name) != value, name)
    return taken


def _settings(request: Request, losses: Losses) -> dict[str, Any]:
    """Stop sequences, metadata and the service tier."""
    out: dict[str, Any] = {}
    stop = [word for word in request.stop if word.strip()]
    losses.add_if(len(stop) < len(request.stop), "stop")
    if stop:
        out["stop_sequences"] = stop
    metadata = dict(request.metadata or {})
    user = request.user or metadata.pop("user_id", None)
    if user:
        out["metadata"] = {"user_id": user}
    losses.add_if(bool(metadata), "metadata")
    if request.service_tier is not None:
        tier = _TIERS.get(request.service_tier)
        losses.add_if(tier is None, "service_tier")
        out |= {"service_tier": tier} if tier else {}
    return out
