"""Parts of a turn: what a message holds, as the wire writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from cloud.gemini import media, signatures
from cloud.gemini.names import WIRE, Table
from cloud.losses import Losses
from runtime.contract.codec import Unsupported
from runtime.contract.messages import Media, Message, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from runtime.contract.targets import Capabilities

_EXACT = 2**53  # numbers on this wire are doubles


def texts(message: Message) -> list[Table]:
    return [{"text": part.text} for part in message.parts if isinstance(part, Text) and part.text]


def of_user(parts: Sequence[Part], names: Mapping[str, str], can: Capabilities, losses: Losses) -> list[Table]:
    """Results first, then all else in its order. names: call id -> tool name. Raises Unsupported."""
    results, others = [], []
    for part in parts:
        match part:
            case ToolResult():
                result, beside = _result(part, names, can)
                results.append(result)
                others += beside
            case Media():
                others.append(media.part(part, can))
            case _:
                others += _said(part, losses)
    return results + others


def of_assistant(parts: Sequence[Part], can: Capabilities, at: str, losses: Losses) -> list[Table]:
    """Raises Unsupported."""
    out: list[Table] = []
    loose: list[str] = []  # signatures of a text that stands ahead of it: the client lost their place
    for part in parts:
        match part:
            case Reasoning():
                _thought(part, out, loose)
            case ToolCall():
                out.append(_call(part, at))
            case Media():
                out.append(media.part(part, can))
            case _:
                out += [_signed(made, loose) for made in _said(part, losses)]
    if can.signed_calls:
        _sign_first_call(out)
    return out


def _said(part: Part, losses: Losses) -> list[Table]:
    """A refusal is no one's words to repeat, and another wire's blocks mean nothing here: they are left out, and named."""
    match part:
        case Text(text=text) if text:
            return [{"text": text}]
        case Opaque(wire=wire, value=value) if wire == WIRE and isinstance(value, dict):
            return [dict(value)]
        case Opaque() | Refusal():
            losses.add("messages")
    return []


def _thought(part: Reasoning, out: list[Table], loose: list[str]) -> None:
    signature = signatures.of_thought(part)
    if signature is None:
        return
    if part.text:
        out.append({"text": part.text, "thought": True, "thoughtSignature": signature})
    elif out and "text" in out[-1] and "thoughtSignature" not in out[-1]:
        out[-1]["thoughtSignature"] = signature
    else:
        loose.append(signature)


def _signed(made: Table, loose: list[str]) -> Table:
    return made | {"thoughtSignature": loose.pop()} if loose and "text" in made else made


def _sign_first_call(out: Sequence[Table]) -> None:
    """Of parallel calls only the first bears the signature. One in an earlier turn is signed too: a prefix stays as it was."""
    first = next((made for made in out if "functionCall" in made), None)
    if first is not None:
        first.setdefault("thoughtSignature", signatures.FOREIGN)


def _call(part: ToolCall, at: str) -> Table:
    arguments = _json(part.arguments or "{}")
    if not isinstance(arguments, dict):
        raise Unsupported(
            f"the arguments of the call {part.id!r} in {at} are not the JSON text of an object", "messages"
        )
    made: Table = {"functionCall": {"id": part.id, "name": part.name, "args": arguments}}
    signature = signatures.of_call(part)
    return made | {"thoughtSignature": signature} if signature else made


def _result(part: ToolResult, names: Mapping[str, str], can: Capabilities) -> tuple[Table, list[Table]]:
    """The result, and the media that cannot stand in it. The wire knows a result by its tool's name."""
    name = names.get(part.call_id) or part.name
    if not name:
        raise Unsupported(f"the result of {part.call_id!r} answers no call", "messages")
    inside: list[Table] = []
    beside: list[Table] = []
    for made in (media.part(item, can) for item in part.content if isinstance(item, Media)):
        (inside if media.fits_in_result(made, can) else beside).append(made)
    result: Table = {"id": part.call_id, "name": name, "response": _response(part)}
    if inside:
        result["parts"] = [{"inlineData": made["inlineData"]} for made in inside]
    return {"functionResponse": result}, beside


def _response(part: ToolResult) -> Table:
    """An object as it is where the wire can carry it exactly; anything else under a name."""
    said = [item.text for item in part.content if isinstance(item, Text)]
    alone = said[0] if len(said) == 1 else None
    value = _json(alone) if alone is not None and alone.lstrip().startswith("{") else None
    told = value if isinstance(value, dict) and _exact(value) else (alone if alone is not None else said or "")
    if part.is_error:
        return {"error": told}
    return told if isinstance(told, dict) else {"result": told}


def _exact(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_exact, value.values()))
    if isinstance(value, list):
        return all(map(_exact, value))
    return not isinstance(value, int) or abs(value) <= _EXACT


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
