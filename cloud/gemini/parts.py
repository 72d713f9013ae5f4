"""Parts of a message, as the wire writes them."""

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
    """Results first, then the rest in its order. names: call id -> tool name. Raises Unsupported."""
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
                others += _text(part, losses)
    return results + others


def of_assistant(parts: Sequence[Part], can: Capabilities, at: str, losses: Losses) -> list[Table]:
    """The parts of a model's turn. at: the message's place in the client's body. Raises Unsupported."""
    out: list[Table] = []
    loose: list[str] = []  # signatures of a later text, whose place the client lost
    for part in parts:
        match part:
            case Reasoning():
                signature = signatures.of_thought(part)
                if signature is None:
                    pass
                elif part.text:
                    out.append({"text": part.text, "thought": True, "thoughtSignature": signature})
                elif out and "text" in out[-1] and "thoughtSignature" not in out[-1]:
                    out[-1]["thoughtSignature"] = signature
                else:
                    loose.append(signature)
            case ToolCall():
                arguments = _json(part.arguments or "{}")
                if not isinstance(arguments, dict):
                    message = f"the arguments of the call {part.id!r} in {at} are not the JSON text of an object"
                    raise Unsupported(message, "messages")
                call: Table = {"functionCall": {"id": part.id, "name": part.name, "args": arguments}}
                mark = signatures.of_call(part)
                out.append(call | {"thoughtSignature": mark} if mark else call)
            case Media():
                out.append(media.part(part, can))
            case _:
                made = _text(part, losses)
                if loose and made and "text" in made[0]:
                    made[0]["thoughtSignature"] = loose.pop()
                out += made
    # Of parallel calls only the first bears a signature, in earlier turns too: a prefix keeps its bytes.
    first = next((made for made in out if "functionCall" in made), None)
    if can.signed_calls and first is not None:
        first.setdefault("thoughtSignature", signatures.FOREIGN)
    return out


def _text(part: Part, losses: Losses) -> list[Table]:
    """A text, or a part of this wire as it is. Refusals and other wires' blocks are left out and named."""
    match part:
        case Text(text=text) if text:
            return [{"text": text}]
        case Opaque(wire=wire, value=value) if wire == WIRE and isinstance(value, dict):
            return [dict(value)]
        case Opaque() | Refusal():
            losses.add("messages")
    return []


def _result(part: ToolResult, names: Mapping[str, str], can: Capabilities) -> tuple[Table, list[Table]]:
    """The result, and the media that the wire does not take inside it. The wire knows a result by its tool's name."""
    name = names.get(part.call_id) or part.name
    if not name:
        raise Unsupported(f"the result of {part.call_id!r} answers no call", "messages")
    inside: list[Table] = []
    beside: list[Table] = []
    for made in (media.part(item, can) for item in part.content if isinstance(item, Media)):
        (inside if media.fits_in_result(made, can) else beside).append(made)
    # The response is an object: the client's own where the wire can carry it exactly, else anything under a name.
    texts = [item.text for item in part.content if isinstance(item, Text)]
    alone = texts[0] if len(texts) == 1 else None
    value = _json(alone) if alone is not None and alone.lstrip().startswith("{") else None
    content = value if isinstance(value, dict) and _exact(value) else (alone if alone is not None else texts or "")
    response = {"error": content} if part.is_error else content if isinstance(content, dict) else {"result": content}
    result: Table = {"id": part.call_id, "name": name, "response": response}
    if inside:
        result["parts"] = [{"inlineData": made["inlineData"]} for made in inside]
    return {"functionResponse": result}, beside


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
