"""A request as one body of this wire, and the header that names the version it is written for.

What the target cannot do: meaning is refused (`Unsupported`), hints are dropped or weakened and named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec

from cloud.anthropic import caching, extras, schema, thinking, tools, turns
from cloud.anthropic.names import API_VERSION, SAMPLING_VERSION
from cloud.anthropic.thinking import Thought
from cloud.losses import Losses
from runtime.contract.codec import Unsupported
from runtime.contract.messages import Request
from runtime.contract.targets import Capabilities, Target
from runtime.dialects.format import instruction

_MOST_TOKENS = 64_000  # of an answer whose client set no limit
_UNKNOWN_TOKENS = 32_000
_WHILE_THINKING = {"temperature": 1, "top_p": 0.95, "top_k": math.inf}  # the least it takes then
_TIERS = {"auto": "auto", "priority": "auto", "default": "standard_only", "standard_only": "standard_only"}


@dataclass(frozen=True, slots=True)
class Written:
    """body: JSON. betas: "" for none. dropped: the client's parameters that were lost or weakened.

    pauses: whether tools run at the vendor, so that the answer may pause.
    """

    body: bytes
    version: str
    betas: str
    dropped: tuple[str, ...]
    pauses: bool


def write_request(request: Request, target: Target, version: str | None) -> Written:
    """version: the API version to keep to; None chooses. Raises Unsupported."""
    _refuse(request)
    losses, can = Losses(), target.capabilities
    body: dict[str, Any] = {
        "model": target.model,
        "max_tokens": _max_tokens(request, can, losses),
        "stream": True,
    }
    body |= _conversation(request, target, losses)
    body |= _tools(request, can, losses)
    barred = tools.forces(request) or turns.bars_budget(body["messages"])
    thought = thinking.plan(request.thinking, can, body["max_tokens"], barred, losses)
    body |= _answer(request, can, thought)
    if can.thinking_bound:
        _unbind(body)
    sampling = _sampling(request, can, thought, version, losses)
    body |= sampling | _rest(request, losses)
    _merge(body, extras.members(request, losses))
    caching.placed(body, can.cache_minimum, losses)
    _drop_hints(request, losses)
    chosen = version or (SAMPLING_VERSION if sampling else API_VERSION)
    return Written(
        msgspec.json.encode(body), chosen, extras.betas(request, body, losses), losses.names, extras.runs_there(body)
    )


def _refuse(request: Request) -> None:
    """What changes an answer's meaning and this wire cannot say."""
    for wanted, param in (
        (request.n > 1, "n"),
        (request.logprobs is not None, "logprobs"),
        (bool(request.logit_bias), "logit_bias"),
    ):
        if wanted:
            raise Unsupported(f"{param!r} has no equal on this model's wire", param)


def _drop_hints(request: Request, losses: Losses) -> None:
    losses.add_if(request.seed is not None, "seed")
    losses.add_if(bool(request.presence_penalty), "presence_penalty")
    losses.add_if(bool(request.frequency_penalty), "frequency_penalty")
    losses.add_if(request.verbosity is not None, "verbosity")


def _max_tokens(request: Request, can: Capabilities, losses: Losses) -> int:
    """The client's limit; without one, long enough for any answer and short enough to leave the prompt room."""
    most = can.max_output_tokens
    if request.max_tokens is not None:
        losses.add_if(most is not None and request.max_tokens > most, "max_tokens")
        return min(request.max_tokens, most or request.max_tokens)
    bounds = [most or _UNKNOWN_TOKENS, _MOST_TOKENS]
    return min(bounds if can.context_tokens is None else [*bounds, can.context_tokens // 6])


def _conversation(request: Request, target: Target, losses: Losses) -> dict[str, Any]:
    system, behind = turns.head(request.messages)
    out = turns.turns(behind, len(request.messages) - len(behind), target, losses)
    _refuse_continuation(request, out, target)
    out = turns.ended(out, target, losses)
    if tools.forces(request) and not target.capabilities.forced_tools:
        out = turns.told(out, tools.nudge(request), target)
    system += _instruction(request, target.capabilities, losses)
    return ({"system": system} if system else {}) | {"messages": out}


def _refuse_continuation(request: Request, out: list[turns.Turn], target: Target) -> None:
    """A client that asks in so many words to have its text continued must not be given a new turn."""
    asked = any(isinstance(said, dict) and said.get("continue_final_message") for said in request.extra.values())
    if asked and not (target.capabilities.prefill and out[-1]["role"] == "assistant"):
        raise Unsupported("this model does not continue a turn of its own", "continue_final_message")


def _instruction(request: Request, can: Capabilities, losses: Losses) -> list[dict[str, Any]]:
    """The wanted form in words, where the wire cannot hold the model to it."""
    if request.format is None or _native(request, can) is not None:
        return []
    losses.add("response_format")
    return [{"type": "text", "text": instruction(request.format)}]


def _native(request: Request, can: Capabilities) -> dict[str, Any] | None:
    """The schema the wire holds the model to; None where it cannot."""
    if request.format is None or request.format.schema is None or not can.structured_output:
        return None
    try:
        return schema.closed(request.format.schema)
    except schema.Unshapable:
        return None


def _tools(request: Request, can: Capabilities, losses: Losses) -> dict[str, Any]:
    declared = tools.declared(request, can, losses)
    choice = tools.choice(request, can, losses)
    return ({"tools": declared} if declared else {}) | ({"tool_choice": choice} if choice else {})


def _answer(request: Request, can: Capabilities, thought: Thought) -> dict[str, Any]:
    config: dict[str, Any] = {"effort": thought.effort} if thought.effort else {}
    native = _native(request, can)
    if native is not None:
        config["format"] = {"type": "json_schema", "schema": native}
    out: dict[str, Any] = {"thinking": thought.thinking} if thought.thinking else {}
    return out | ({"output_config": config} if config else {})


def _unbind(body: dict[str, Any]) -> None:
    """A client may have cut its history, and a nudge of ours is not in it: thinking that no longer fits is left out.

    Without it the vendor refuses the whole request.
    """
    mode = body.get("thinking", {}).get("type")
    if mode == "disabled":
        body["messages"] = turns.without_thinking(body["messages"])
    elif mode == "adaptive" and turns.holds_thinking(body["messages"]):
        body["thinking"] = body["thinking"] | {"block_binding": {"prefix_mismatch_behavior": "drop_block"}}


def _sampling(
    request: Request, can: Capabilities, thought: Thought, version: str | None, losses: Losses
) -> dict[str, Any]:
    """Only older models take these, only under the older version, and not two of them together; thinking bounds them."""
    said = {"temperature": request.temperature, "top_p": request.top_p, "top_k": request.top_k}
    asked = {name: value for name, value in said.items() if value is not None}
    taken = asked if can.sampling and version in (None, SAMPLING_VERSION) else {}
    if thought.on:
        taken = {name: value for name, value in taken.items() if value >= _WHILE_THINKING[name]}
    if "temperature" in taken:
        taken = {
            name: min(value, 1) if name == "temperature" else value for name, value in taken.items() if name != "top_p"
        }
    for name, value in asked.items():
        losses.add_if(taken.get(name) != value, name)
    return taken


def _rest(request: Request, losses: Losses) -> dict[str, Any]:
    out: dict[str, Any] = {}
    stop = [word for word in request.stop if word.strip()]
    losses.add_if(len(stop) < len(request.stop), "stop")
    if stop:
        out["stop_sequences"] = stop
    said = dict(request.metadata or {})
    user = request.user or said.pop("user_id", None)
    if user:
        out["metadata"] = {"user_id": user}
    losses.add_if(bool(said), "metadata")
    if request.service_tier is not None:
        tier = _TIERS.get(request.service_tier)
        losses.add_if(tier is None, "service_tier")
        out |= {"service_tier": tier} if tier else {}
    return out


def _merge(body: dict[str, Any], said: dict[str, Any]) -> None:
    """The client's own members of this wire go before ours; of an object, member by member."""
    for name, value in said.items():
        mine = body.get(name)
        body[name] = (
            mine | value if isinstance(mine, dict) and isinstance(value, dict) and name != "thinking" else value
        )
