"""The wire's `generationConfig`: limits, sampling, format, thinking. What a model does not take is dropped or refused."""

from __future__ import annotations

from typing import Any

from cloud.gemini import extras, media, schema, thinking
from cloud.gemini.names import Table
from cloud.losses import Losses
from runtime.contract.codec import Unsupported
from runtime.contract.messages import Format, Media, Request, ToolResult
from runtime.contract.targets import Capabilities

_MOST_STOPS = 5
_MOST_LOGPROBS = 20
_JSON = "application/json"


def config(request: Request, can: Capabilities, losses: Losses) -> Table:
    """Raises Unsupported."""
    _refuse(request, can)
    out: Table = {}
    _limit(request, can, losses, out)
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
    if holds_format(request, can):
        out |= _format(request.format)
    if thoughts := thinking.config(request.thinking, can, losses):
        out["thinkingConfig"] = thoughts
    _resolution(request, can, losses, out)
    return out


def holds_format(request: Request, can: Capabilities) -> bool:
    """Whether the wire holds the model to the wanted format; where it does not, the model is told of it in words."""
    with_tools = bool(request.tools or extras.tools(request))
    return request.format is None or (can.structured_output and (can.structured_with_tools or not with_tools))


def _refuse(request: Request, can: Capabilities) -> None:
    if request.n > 1:
        raise Unsupported("this model gives one answer to a request", "n")
    if request.logit_bias:
        raise Unsupported("this wire has no logit_bias", "logit_bias")
    if request.logprobs is not None and (not can.logprobs or request.logprobs > _MOST_LOGPROBS):
        raise Unsupported("this model gives no log probabilities, or fewer", "logprobs")
    if len(request.stop) > _MOST_STOPS:
        raise Unsupported(f"this wire takes at most {_MOST_STOPS} stop sequences", "stop")


def _limit(request: Request, can: Capabilities, losses: Losses, out: Table) -> None:
    """A limit above the model's own would be refused, and means no more than it."""
    if request.max_tokens is None:
        return
    most = can.max_output_tokens or request.max_tokens
    losses.add_if(request.max_tokens > most, "max_tokens")
    out["maxOutputTokens"] = min(request.max_tokens, most)


def _format(wanted: Format | None) -> Table:
    if wanted is None:
        return {}
    if wanted.schema is None:
        return {"responseMimeType": _JSON}
    plain: Any = schema.plain(wanted.schema)
    if wanted.description and isinstance(plain, dict) and not {"description", "$ref"} & set(plain):
        plain = plain | {"description": wanted.description}
    return {"responseMimeType": _JSON, "responseJsonSchema": plain}


def _resolution(request: Request, can: Capabilities, losses: Losses, out: Table) -> None:
    """Older models take one resolution for all media."""
    asked = [media.resolution(item, can) for item in _media(request) if item.kind in ("image", "video")]
    wanted = {level for level in asked if level}
    if len(wanted) == 1 and len(set(asked)) == 1:
        out["mediaResolution"] = wanted.pop()
    else:
        losses.add_if(bool(wanted), "detail")


def _media(request: Request) -> list[Media]:
    parts = [part for message in request.messages for part in message.parts]
    inner = [item for part in parts if isinstance(part, ToolResult) for item in part.content]
    return [item for item in (*parts, *inner) if isinstance(item, Media)]
