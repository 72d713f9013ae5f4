"""Reads an assistant's turn as a client gives it back: its reasoning, put where it stood among text and calls.

Reads Hearth's own members and those in common use: `reasoning_content`, `reasoning`, `reasoning_details`, `thinking_blocks`.
Nothing here is an error: a client that echoes half of a turn has lost the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.contract.messages import Opaque, Part, Reasoning, Text
from runtime.dialects.openai_chat.message_members import REASONING
from runtime.dialects.openai_chat.signatures import EXTRA, Bound, origin, read_message_extra


@dataclass(frozen=True, slots=True)
class EchoedReasoning:
    """The reasoning that a message carries. sealed: complete, with signatures; the cache is not needed."""

    model: str | None = None
    bound: tuple[Bound, ...] = ()

    @property
    def sealed(self) -> bool:
        parts = (each.part for each in self.bound)
        return any(isinstance(part, Opaque) or part.signature or part.redacted for part in parts)


def echoed_reasoning(message: dict[str, Any]) -> EchoedReasoning:
    """Best source first: Hearth's own member, then signed blocks, then plain text."""
    model, bound = read_message_extra(message.get(EXTRA))
    if bound:
        return EchoedReasoning(model, bound)
    blocks = list(_blocks(message.get("thinking_blocks"), ("thinking",)))
    blocks = blocks or list(_blocks(message.get("reasoning_details"), ("text", "summary")))
    plain = next((value for name in REASONING if isinstance(value := message.get(name), str) and value), None)
    if not blocks and plain:
        blocks = [Reasoning(plain, extra=origin(model))]
    return EchoedReasoning(model, tuple(Bound(block) for block in blocks))


def _blocks(value: Any, texts: Sequence[str]) -> Iterator[Reasoning]:
    """Reasoning blocks; texts: the members that may hold the text, the first that does counts."""
    for block in value if isinstance(value, list) else ():
        if isinstance(block, dict):
            text = next((found for name in texts if (found := _string(block, name))), "")
            signature, data = _string(block, "signature"), _string(block, "data")
            if text or signature or data:
                yield Reasoning(text, signature, data)


def _string(block: dict[str, Any], name: str) -> str | None:
    value = block.get(name)
    return value if isinstance(value, str) and value else None


def arranged(echoed: EchoedReasoning, parts: Sequence[Part], calls: Sequence[Part]) -> list[Part]:
    """The turn's parts in the order in which the model made them, as far as it is known."""
    text = parts[0].text if len(parts) == 1 and isinstance(parts[0], Text) else None
    out: list[Part]
    if text is None or all(each.chars == 0 and each.calls == 0 for each in echoed.bound):
        # Only places among the calls are known: early reasoning, all other parts, then the calls with late reasoning.
        out = [*(each.part for each in echoed.bound if not each.calls), *parts]
        late = [each for each in echoed.bound if each.calls]
        for place, call in enumerate(calls):
            out += (each.part for each in late if each.calls == place)
            out.append(call)
        return [*out, *(each.part for each in late if each.calls >= len(calls))]
    out = []
    chars = called = 0
    for each in echoed.bound:
        if each.chars > chars:
            out.append(Text(text[chars : each.chars]))
            chars = each.chars
        out += calls[called : each.calls]
        called = max(called, each.calls)
        out.append(each.part)
    if chars < len(text):
        out.append(Text(text[chars:]))
    return [part for part in (*out, *calls[called:]) if not isinstance(part, Text) or part.text]
