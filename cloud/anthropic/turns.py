"""A conversation as the wire takes it: turns that alternate, results first, instructions at their places.

Instructions at the head are the system prompt. Later ones keep their place: as the wire's own system message where the model
takes one (right behind a user's turn, and before the model's turn or at the end), else as text of the user's turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cloud.anthropic import blocks
from cloud.anthropic.media import Block
from cloud.losses import Losses
from runtime.contract.codec import Unsupported
from runtime.contract.messages import Message, Role
from runtime.contract.targets import Capabilities, Target

Turn = dict[str, Any]

_OPENING = "Begin."  # the first turn must be a user's
_CONTINUE = "Continue."
_THINKING = frozenset({"thinking", "redacted_thinking"})


class _UserSide:
    """The content between two turns of the model: results, then the rest in its order, then instructions."""

    def __init__(self, mid_system: bool) -> None:
        self._mid_system = mid_system
        self._results: list[Block] = []
        self._blocks: list[Block] = []
        self._system: list[Block] = []

    def add(self, message: Message, losses: Losses) -> None:
        if message.role is Role.SYSTEM:
            self._system += blocks.texts(message)
            return
        mine = blocks.of_user(message.parts, losses)
        if mine:
            self._fold()
        for block in mine:
            (self._results if block["type"] == "tool_result" else self._blocks).append(block)

    def turns(self) -> list[Turn]:
        """The wire's turns for the content, possibly none. Empties this side."""
        if not (self._mid_system and (self._results or self._blocks)):
            self._fold()
        content, system = self._results + self._blocks, self._system
        self._results, self._blocks, self._system = [], [], []
        user: list[Turn] = [{"role": "user", "content": content}] if content else []
        return user + ([{"role": "system", "content": system}] if system else [])

    def _fold(self) -> None:
        self._blocks += self._system
        self._system = []


def head(messages: Sequence[Message]) -> tuple[list[Block], Sequence[Message]]:
    """The system prompt, and the messages behind it."""
    length = next((n for n, message in enumerate(messages) if message.role is not Role.SYSTEM), len(messages))
    return [block for message in messages[:length] for block in blocks.texts(message)], messages[length:]


def turns(messages: Sequence[Message], first: int, target: Target, losses: Losses) -> list[Turn]:
    """first: the place of the first of these messages in the client's list. Raises Unsupported."""
    out: list[Turn] = []
    side = _UserSide(target.capabilities.mid_system)
    for place, message in enumerate(messages, first):
        losses.add_if(message.name is not None, "name")
        if message.role is not Role.ASSISTANT:
            side.add(message, losses)
            continue
        mine = blocks.of_assistant(message.parts, target.model, f"messages[{place}]", losses)
        if not mine:
            continue
        out += side.turns()
        if not out:
            out.append(_user_turn(_OPENING))
        if out[-1]["role"] == "assistant":
            _content(out[-1]).extend(mine)
        else:
            out.append({"role": "assistant", "content": mine})
    out += side.turns()
    _check_results(out)
    return out or [_user_turn(_OPENING)]


def ended(out: list[Turn], can: Capabilities, losses: Losses) -> list[Turn]:
    """The turns with an end that the model takes: a model that cannot continue its own last turn is asked to by a user."""
    if out[-1]["role"] != "assistant":
        return out
    if not can.prefill:
        losses.add("messages")
        return [*out, _user_turn(_CONTINUE)]
    last = _content(out[-1])[-1]
    if last["type"] == "text":
        last["text"] = last["text"].rstrip()
    return out


def instructed(out: list[Turn], text: str, target: Target) -> list[Turn]:
    """The turns with an instruction at their end, where it changes no cached prefix."""
    block = {"type": "text", "text": text}
    if out[-1]["role"] == "assistant":
        return out
    if target.capabilities.mid_system and out[-1]["role"] == "user":
        return [*out, {"role": "system", "content": [block]}]
    _content(out[-1]).append(block)
    return out


def bars_budget(out: Sequence[Turn]) -> bool:
    """True if the model continues from a turn of its own, text or calls, that does not begin with thinking."""
    spoken = [turn for turn in out if turn["role"] != "system"]
    if spoken and spoken[-1]["role"] == "assistant":
        return True
    if len(spoken) < 2 or all(block["type"] != "tool_result" for block in _content(spoken[-1])):
        return False
    return _content(spoken[-2])[0]["type"] not in _THINKING


def holds_thinking(out: Sequence[Turn]) -> bool:
    return any(block["type"] in _THINKING for turn in out for block in _content(turn))


def without_thinking(out: Sequence[Turn]) -> list[Turn]:
    """The turns without thinking. A turn of nothing but thinking is left as it is, because it would be empty."""
    left = [[block for block in _content(turn) if block["type"] not in _THINKING] for turn in out]
    return [turn | {"content": content} if content else turn for turn, content in zip(out, left, strict=True)]


def _user_turn(text: str) -> Turn:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def _content(turn: Turn) -> list[Block]:
    content: list[Block] = turn["content"]
    return content


def _results(turn: Turn) -> list[str]:
    return [block["tool_use_id"] for block in _content(turn) if block["type"] == "tool_result"]


def _check_results(out: Sequence[Turn]) -> None:
    """Raises Unsupported unless each call has one result, in the next turn, and each result a call."""
    asked: list[str] = []
    for turn in out:
        given = _results(turn)
        if sorted(given) != sorted(asked):
            odd = next(iter(sorted(set(asked) ^ set(given))), None) or given[0]
            raise Unsupported(f"the call {odd!r} and its result do not pair up", "messages")
        asked = [block["id"] for block in _content(turn) if block["type"] == "tool_use"]
    if asked:
        raise Unsupported(f"the call {asked[0]!r} has no result", "messages")
