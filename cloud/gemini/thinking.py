"""The amount of thinking a client asks for, in the terms of the model's generation: a level, a budget, or nothing."""

from __future__ import annotations

from cloud.gemini.names import Table
from cloud.losses import Losses
from runtime.contract.messages import Thinking
from runtime.contract.targets import Capabilities

PARAM = "reasoning_effort"

_ORDER = ("minimal", "low", "medium", "high", "xhigh", "max")
# Tokens, as the vendor maps efforts (ai.google.dev/gemini-api/docs/openai); the last two stand for the model's maximum.
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 1 << 20, "max": 1 << 20}
_STEPS = (("low", 2048), ("medium", 8192))  # a budget of another wire, as an effort
_ANY_BUDGET = (0, 1 << 20)


def config(asked: Thinking | None, can: Capabilities, losses: Losses) -> Table:
    """The wire's `thinkingConfig`; empty for none.

    Thoughts are shown unless the client does not want them: without them the stream is silent while the model thinks, and
    silence looks like a dead upstream.
    """
    if can.thinking is None:
        losses.add_if(_wanted(asked), PARAM)
        return {}
    if asked is None or (asked.effort is None and asked.budget is None):
        return _shown(asked) if can.thinks_unasked else {}  # a model that does not think refuses the member
    if not _wanted(asked) and can.thinking_off is not None:
        return {"thinkingBudget": int(can.thinking_off)}
    if not _wanted(asked) and not can.thinks_unasked:
        return {}
    if can.thinking == "level":
        return _shown(asked) | {"thinkingLevel": _level(asked, can, losses).upper()}
    least, most = can.thinking_budget or _ANY_BUDGET
    wanted = asked.budget if asked.effort is None else _BUDGETS.get(asked.effort, 0)
    tokens = min(max(wanted or 0, least), most)
    losses.add_if(tokens != wanted and asked.effort not in ("xhigh", "max"), PARAM)
    return _shown(asked) | {"thinkingBudget": tokens}


def _wanted(asked: Thinking | None) -> bool:
    return asked is not None and (bool(asked.budget) if asked.effort is None else asked.effort != "none")


def _shown(asked: Thinking | None) -> Table:
    return {} if asked is not None and asked.show is False else {"includeThoughts": True}


def _level(asked: Thinking, can: Capabilities, losses: Losses) -> str:
    """The strongest level the model has that is not above the one asked for, else its weakest."""
    tokens = asked.budget or 0
    of_budget = next((effort for effort, most in _STEPS if tokens <= most), "high") if tokens else "none"
    effort = asked.effort or of_budget
    rank = _ORDER.index(effort) if effort in _ORDER else -1
    below = [level for level in can.thinking_levels if _ORDER.index(level) <= rank]
    level = below[-1] if below else can.thinking_levels[0]
    losses.add_if(level != effort, PARAM)
    return level
