"""The tokens that a request is expected to take of its key's limit: its prompt, and its longest answer or the usual one."""

from __future__ import annotations

from runtime.life.ask import Ask
from runtime.life.desk import Desk
from runtime.routing.facts.hints import BadHint


def limited_tokens(ask: Ask) -> bool:
    """True if the key of a request has a limit on its tokens."""
    return ask.caller.limits is not None and ask.caller.limits.tokens_per_minute is not None


def expected_tokens(desk: Desk, ask: Ask) -> int:
    """0 for a request that its life refuses anyway."""
    try:
        facts = desk.planner.read(ask.dialect.name, ask.body.data, ask.headers).facts
    except BadHint:
        return 0
    answer = facts.max_tokens if facts.max_tokens is not None else desk.lengths.p95(ask.caller.id)
    return facts.prompt_tokens + answer * facts.n
