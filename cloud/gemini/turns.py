"""A conversation as the wire wants it: turns of the user and the model that alternate, the user's first, results first in them.

Instructions at the head are the system instruction. Later ones keep their place as text of the user: the wire has no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cloud.gemini import parts
from cloud.gemini.names import Table
from cloud.losses import Losses
from runtime.contract.codec import Unsupported
from runtime.contract.messages import Message, Role, ToolCall
from runtime.contract.targets import Capabilities

_USER, _MODEL = "user", "model"
_OPENING = "Begin."
_GOING_ON = "Continue."


def head(messages: Sequence[Message]) -> tuple[list[Table], Sequence[Message]]:
    """The parts of the system instruction, and the messages behind it."""
    length = next((n for n, message in enumerate(messages) if message.role is not Role.SYSTEM), len(messages))
    return [part for message in messages[:length] for part in parts.texts(message)], messages[length:]


def turns(messages: Sequence[Message], first: int, can: Capabilities, losses: Losses) -> list[Table]:
    """first: the place of the first of these messages in the client's list. Raises Unsupported."""
    names = _names(messages)
    out: list[Table] = []
    for place, message in enumerate(messages, first):
        losses.add_if(message.name is not None, "name")
        mine = _parts(message, names, can, f"messages[{place}]", losses)
        if not mine:
            continue
        role = _MODEL if message.role is Role.ASSISTANT else _USER
        if not out and role == _MODEL:
            out.append(_said(_OPENING))
        if out and out[-1]["role"] == role:
            out[-1]["parts"] += mine
        else:
            out.append({"role": role, "parts": mine})
    for turn in out:
        if turn["role"] == _USER:
            turn["parts"].sort(key=_behind_results)
    _check_results(out)
    return out or [_said(_OPENING)]


def ended(out: list[Table], can: Capabilities, losses: Losses) -> list[Table]:
    """The turns with an end the model takes: where it does not go on with its own words, a user asks it to."""
    if out[-1]["role"] != _MODEL or can.prefill:
        return out
    losses.add("messages")
    return [*out, _said(_GOING_ON)]


def _parts(message: Message, names: Mapping[str, str], can: Capabilities, at: str, losses: Losses) -> list[Table]:
    match message.role:
        case Role.SYSTEM:
            return parts.texts(message)
        case Role.USER:
            return parts.of_user(message.parts, names, can, losses)
        case Role.ASSISTANT:
            return parts.of_assistant(message.parts, can, at, losses)


def _names(messages: Sequence[Message]) -> Mapping[str, str]:
    """Call id -> name of the tool."""
    return {part.id: part.name for message in messages for part in message.parts if isinstance(part, ToolCall)}


def _behind_results(part: Table) -> bool:
    return "functionResponse" not in part


def _said(text: str) -> Table:
    return {"role": _USER, "parts": [{"text": text}]}


def _ids(turn: Table, kind: str) -> list[str]:
    return [part[kind]["id"] for part in turn["parts"] if isinstance(part.get(kind), dict) and "id" in part[kind]]


def _check_results(out: Sequence[Table]) -> None:
    """Every call is answered in the turn behind it, once, and nothing else is. Raises Unsupported."""
    asked: list[str] = []
    for turn in out:
        given = _ids(turn, "functionResponse")
        if sorted(given) != sorted(asked):
            odd = next(iter(sorted(set(asked) ^ set(given))), None) or (given or asked)[0]
            raise Unsupported(f"the call {odd!r} and its result do not pair up", "messages")
        asked = _ids(turn, "functionCall")
    if asked:
        raise Unsupported(f"the call {asked[0]!r} has no result", "messages")
