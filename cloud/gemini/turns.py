"""A conversation as the wire takes it: turns of the user and the model that alternate, the user's first, results first in them.

Instructions at the head are the system instruction. Later ones keep their place as text of the user: the wire has no other.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloud.gemini import parts
from cloud.gemini.names import Table
from cloud.losses import Losses
from runtime.contract.codec import Unsupported
from runtime.contract.messages import Message, Role, ToolCall
from runtime.contract.targets import Capabilities

_USER, _MODEL = "user", "model"
_OPENING = "Begin."
_CONTINUE = "Continue."


def head(messages: Sequence[Message]) -> tuple[list[Table], Sequence[Message]]:
    """The parts of the system instruction, and the messages behind it."""
    length = next((n for n, message in enumerate(messages) if message.role is not Role.SYSTEM), len(messages))
    return [part for message in messages[:length] for part in parts.texts(message)], messages[length:]


def turns(messages: Sequence[Message], first: int, can: Capabilities, losses: Losses) -> list[Table]:
    """first: the place of the first of these messages in the client's list. Raises Unsupported."""
    every = [part for message in messages for part in message.parts]
    names = {part.id: part.name for part in every if isinstance(part, ToolCall)}
    out: list[Table] = []
    for place, message in enumerate(messages, first):
        losses.add_if(message.name is not None, "name")
        match message.role:
            case Role.SYSTEM:
                mine = parts.texts(message)
            case Role.USER:
                mine = parts.of_user(message.parts, names, can, losses)
            case Role.ASSISTANT:
                mine = parts.of_assistant(message.parts, can, f"messages[{place}]", losses)
        if not mine:
            continue
        role = _MODEL if message.role is Role.ASSISTANT else _USER
        if not out and role == _MODEL:
            out.append(_user_turn(_OPENING))
        if out and out[-1]["role"] == role:
            out[-1]["parts"] += mine
        else:
            out.append({"role": role, "parts": mine})
    for turn in out:
        if turn["role"] == _USER:
            turn["parts"].sort(key=lambda part: "functionResponse" not in part)
    _check_results(out)
    return out or [_user_turn(_OPENING)]


def ended(out: list[Table], can: Capabilities, losses: Losses) -> list[Table]:
    """The turns with an end that the model takes: a model that cannot continue its own last turn is asked to by a user."""
    if out[-1]["role"] != _MODEL or can.prefill:
        return out
    losses.add("messages")
    return [*out, _user_turn(_CONTINUE)]


def _user_turn(text: str) -> Table:
    return {"role": _USER, "parts": [{"text": text}]}


def _ids(turn: Table, kind: str) -> list[str]:
    return [part[kind]["id"] for part in turn["parts"] if isinstance(part.get(kind), dict) and "id" in part[kind]]


def _check_results(out: Sequence[Table]) -> None:
    """Raises Unsupported unless each call has one result, in the next turn, and each result a call."""
    asked: list[str] = []
    for turn in out:
        given = _ids(turn, "functionResponse")
        if sorted(given) != sorted(asked):
            odd = next(iter(sorted(set(asked) ^ set(given))), None) or (given or asked)[0]
            raise Unsupported(f"the call {odd!r} and its result do not pair up", "messages")
        asked = _ids(turn, "functionCall")
    if asked:
        raise Unsupported(f"the call {asked[0]!r} has no result", "messages")
