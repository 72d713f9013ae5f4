"""An assistant's turn as a client gives it back: what it thought, put where it stood among text and calls.

Reads our own members and those in common use: `reasoning_content`, `reasoning`, `reasoning_details`, `thinking_blocks`.
Nothing here is an error: a client that echoes half of what it was given has lost the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.contract.messages import Opaque, Part, Reasoning, Text
from runtime.dialects.openai_chat.signatures import EXTRA, Bound, origin, read_message_extra


@dataclass(frozen=True, slots=True)
class Said:
    """The thinking that a message carries. sealed: it needs nothing from the cache."""

    model: str | None = None
    bound: tuple[Bound, ...] = ()

    @property
    def sealed(self) -> bool:
        parts = (each.part for each in self.bound)
        return any(isinstance(part, Opaque) or part.signature or part.redacted for part in parts)


def told_reasoning(message: dict[str, Any]) -> Said:
    """Best source first: ours, then signed blocks, then plain text."""
    model, bound = read_message_extra(message.get(EXTRA))
    if bound:
        return Said(model, bound)
    blocks = list(_thinking_blocks(message.get("thinking_blocks"))) or list(_details(message.get("reasoning_details")))
    plain = next((value for name in _PLAIN if isinstance(value := message.get(name), str) and value), None)
    if not blocks and plain:
        blocks = [Reasoning(plain, extra=origin(model))]
    return Said(model, tuple(Bound(block) for block in blocks))


_PLAIN = ("reasoning_content", "reasoning")


def _thinking_blocks(value: Any) -> Iterator[Reasoning]:
    for block in value if isinstance(value, list) else ():
        if not isinstance(block, dict):
            continue
        text, signature, data = (_string(block, name) for name in ("thinking", "signature", "data"))
        if text or signature or data:
            yield Reasoning(text or "", signature, data)


def _details(value: Any) -> Iterator[Reasoning]:
    for detail in value if isinstance(value, list) else ():
        if not isinstance(detail, dict):
            continue
        text = _string(detail, "text") or _string(detail, "summary") or ""
        signature, data = _string(detail, "signature"), _string(detail, "data")
        if text or signature or data:
            yield Reasoning(text, signature, data)


def _string(block: dict[str, Any], name: str) -> str | None:
    value = block.get(name)
    return value if isinstance(value, str) and value else None


def arranged(said: Said, parts: Sequence[Part], calls: Sequence[Part]) -> list[Part]:
    """The turn's parts in the order in which the model made them, as far as it is known."""
    text = parts[0].text if len(parts) == 1 and isinstance(parts[0], Text) else None
    if text is None or all(each.chars == 0 and each.calls == 0 for each in said.bound):
        return [*(each.part for each in said.bound if not each.calls), *parts, *_among(said, calls)]
    out: list[Part] = []
    chars = called = 0
    for each in said.bound:
        if each.chars > chars:
            out.append(Text(text[chars : each.chars]))
            chars = each.chars
        out += calls[called : each.calls]
        called = max(called, each.calls)
        out.append(each.part)
    if chars < len(text):
        out.append(Text(text[chars:]))
    return [part for part in (*out, *calls[called:]) if not isinstance(part, Text) or part.text]


def _among(said: Said, calls: Sequence[Part]) -> Iterator[Part]:
    """The calls, with the thinking that stood between them."""
    late = [each for each in said.bound if each.calls]
    for place, call in enumerate(calls):
        yield from (each.part for each in late if each.calls == place)
        yield call
    yield from (each.part for each in late if each.calls >= len(calls))
