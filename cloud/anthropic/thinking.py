"""The amount of thinking a client asks for, in the terms of the model's generation: a level, a budget, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cloud.losses import Losses
from runtime.contract.messages import Thinking
from runtime.contract.targets import Capabilities

PARAM = "reasoning_effort"

ORDER = ("minimal", "low", "medium", "high", "xhigh", "max")  # of efforts, from the least thinking to the most
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 49152}  # tokens
_LEAST_BUDGET = 1024


@dataclass(frozen=True, slots=True)
class Thought:
    """thinking: the wire's member, None for none. effort: the level, None for the model's own."""

    thinking: dict[str, Any] | None = None
    effort: str | None = None

    @property
    def on(self) -> bool:
        return self.thinking is not None and self.thinking["type"] in ("adaptive", "enabled")


def plan(asked: Thinking | None, can: Capabilities, max_tokens: int, barred: bool, losses: Losses) -> Thought:
    """barred: the request excludes a budget of thinking (a forced tool, a turn that began without thinking)."""
    if can.thinking == "level":
        return _level(asked, can, losses)
    if asked is None or not _wanted(asked):
        return Thought()
    if can.thinking is None or barred or max_tokens <= _LEAST_BUDGET:
        losses.add(PARAM)
        return Thought()
    # Without a budget of the client's own at most half of the answer's tokens: the answer needs room.
    tokens = asked.budget or min(_BUDGETS[asked.effort or "medium"], max_tokens // 2)
    budget = min(max(tokens, _LEAST_BUDGET), max_tokens - 1)
    effort = nearest(asked, can, losses) if can.thinking_levels else None
    return Thought({"type": "enabled", "budget_tokens": budget}, effort)


def _wanted(asked: Thinking) -> bool:
    return asked.effort not in (None, "none") or bool(asked.budget)


def _level(asked: Thinking | None, can: Capabilities, losses: Losses) -> Thought:
    # Without a summary the stream is silent while the model thinks, and silence looks like a dead upstream.
    display = "omitted" if asked is not None and asked.show is False else "summarized"
    on = {"type": "adaptive", "display": display}
    if asked is not None and (asked.effort == "none" or asked.budget == 0):
        if not can.thinks_unasked:
            return Thought()
        if can.thinking_off:
            return Thought({"type": can.thinking_off})
        losses.add(PARAM)
        return Thought(on, can.thinking_levels[0])
    if asked is None or not _wanted(asked):
        return Thought(on if can.thinks_unasked else None)
    return Thought(on, nearest(asked, can, losses))


def nearest(asked: Thinking, can: Capabilities, losses: Losses) -> str:
    """The strongest level the model has that is not above the one asked for, else its weakest."""
    tokens = asked.budget or 0
    of_budget = next((level for level in ("low", "medium") if tokens <= _BUDGETS[level]), "high")
    effort = asked.effort or of_budget
    below = [level for level in can.thinking_levels if ORDER.index(level) <= ORDER.index(effort)]
    level = below[-1] if below else can.thinking_levels[0]
    losses.add_if(level != effort, PARAM)
    return level
