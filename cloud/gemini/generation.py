"""The wire's `generationConfig`: limits, sampling, format, thinking. A setting the model lacks is dropped or refused."""

from __future__ import annotations

from typing import Any

from cloud.gemini import extras, media, schema, thinking
from cloud.gemini.names import Table
from cloud.losses import Losses
from runtime.contract.codec import Unsupported
from runtime.contract.messages import Request
from runtime.contract.targets import Capabilities

_MOST_STOPS = 5
_MOST_LOGPROBS = 20
_JSON = "application/json"


def config(request: Request, can: Capabilities, losses: Losses) -> Table:
    """Raises Unsupported."""
    # (1) Parameters of meaning that the model cannot carry.
    lacks_logprobs = request.logprobs is not None and (not can.logprobs or request.logprobs > _MOST_LOGPROBS)
    for refused, param, message in (
        (request.n > 1, "n", "this model gives one answer to a request"),
        (bool(request.logit_bias), "logit_bias", "this wire has no logit_bias"),
        (lacks_logprobs, "logprobs", "this model gives no log probabilities, or fewer"),
        (len(request.stop) > _MOST_STOPS, "stop", f"this wire takes at most {_MOST_STOPS} stop sequences"),
    ):
        if refused:
            raise Unsupported(message, param)
    # (2) Limits and sampling. A limit above the model's own would be refused.
    out: Table = {}
    if request.max_tokens is not None:
        most = can.max_output_tokens or request.max_tokens
        losses.add_if(request.max_tokens > most, "max_tokens")
        out["maxOutputTokens"] = min(request.max_tokens, most)
    for name, value, taken, param in (
        ("temperature", request.temperature, can.sampling, "temperature"),
        ("topP", request.top_p, can.sampling, "top_p"),
        ("topK", request.top_k, can.sampling, "top_k"),
        ("seed", request.seed, True, "seed"),
        ("presencePenalty", request.presence_penalty, can.penalties, "presence_penalty"),
        ("frequencyPenalty", request.frequency_penalty, can.penalties, "frequency_penalty"),
    ):
        if value is not None and taken:
            out[name] = value
        losses.add_if(value is not None and not taken, param)
    if request.stop:
        out["stopSequences"] = list(request.stop)
    if request.logprobs is not None:
        out |= {"responseLogprobs": True} | ({"logprobs": request.logprobs} if request.logprobs else {})
    # (3) Format and thinking.
    wanted = request.format
    if wanted is not None and holds_format(request, can):
        out["responseMimeType"] = _JSON
        if wanted.schema is not None:
            plain: Any = schema.plain(wanted.schema)
            described = not wanted.description or not isinstance(plain, dict) or {"description", "$ref"} & set(plain)
            out["responseJsonSchema"] = plain if described else plain | {"description": wanted.description}
    if thoughts := thinking.config(request.thinking, can, losses):
        out["thinkingConfig"] = thoughts
    # (4) Resolution: older models take one for all media.
    levels = media.resolutions(request, can)
    if len(levels) == 1 and None not in levels:
        out["mediaResolution"] = levels.pop()
    else:
        losses.add_if(bool(levels - {None}), "detail")
    return out


def holds_format(request: Request, can: Capabilities) -> bool:
    """True if the wire holds the model to the wanted format; otherwise it is asked for in words."""
    with_tools = bool(request.tools or extras.tools(request, Losses()))
    return request.format is None or (can.structured_output and (can.structured_with_tools or not with_tools))
