"""Turns of a conversation, as tests write them: a string is a text."""

from __future__ import annotations

from runtime.contract.messages import Message, Part, Role, Text


def system(text: str) -> Message:
    return Message(Role.SYSTEM, (Text(text),))


def user(*parts: Part | str) -> Message:
    return Message(Role.USER, _parts(parts))


def model(*parts: Part | str) -> Message:
    return Message(Role.ASSISTANT, _parts(parts))


def _parts(said: tuple[Part | str, ...]) -> tuple[Part, ...]:
    return tuple(Text(part) if isinstance(part, str) else part for part in said)
