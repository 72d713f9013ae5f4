"""One token of the local engine, held to given labels: the cheapest answer that a local model can give about a text.

It is work of the engine like any other: the dispatcher carries it out, so that the ledger sees it and a client that hangs up
ends it. Whatever goes wrong, and an answer that is not there in time, means that there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import msgspec

from runtime.contract.reasons import Reason
from runtime.contract.targets import Target
from runtime.dialects.openai_chat.dialect import CHAT
from runtime.dispatch.job import Job, Outcome
from runtime.life.ask import Ask
from runtime.life.collected import Collected
from runtime.life.desk import Desk
from runtime.routing.plan.plan import Candidate, Plan
from runtime.wire.raw_body import RawBody

MOST_BYTES = 64 << 10  # of an answer


def label_question(content: str, labels: Sequence[str], **more: Any) -> RawBody:
    """The body that asks for one of the labels. more: further members of it."""
    body = {
        "model": "local",
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 1,
        "temperature": 0,
        **more,
        "structured_outputs": {"choice": labels},
        "chat_template_kwargs": {"enable_thinking": False},
    }
    return RawBody(msgspec.json.encode(body))


async def asked_here(
    desk: Desk, ask: Ask, local: Target, body: RawBody, within_s: float, why: str, outcome: Outcome | None = None
) -> bytes:
    """The engine's answer; b"" where there is none in time.

    why: a sentence for the plan. outcome: how it went; filled in also where this is cancelled.
    """
    facts = desk.planner.read(CHAT.name, body.data, {}).facts
    now = desk.clock()
    job = Job(ask.id, CHAT, body, {}, facts, arrived=ask.arrived, deadline=now + 2 * within_s, caller=ask.caller.id)
    alone = Plan((Candidate(local, Reason.PINNED, why),), Reason.PINNED, why, pinned=True)
    sink, outcome = Collected(MOST_BYTES), outcome if outcome is not None else Outcome()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await desk.dispatcher.run(job, alone, sink, outcome)
    return sink.body if outcome.answered else b""
