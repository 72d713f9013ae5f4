"""The local model's opinion on what a prompt needs: one token, held to two labels, asked before the plan is made again.

Asked only where the plan says that the opinion would decide (`Plan.undecided`). It is work of the engine like any other: the
dispatcher carries it out, so that the ledger sees it and a client that hangs up ends it. Whatever goes wrong, and an answer
that is not there in time, means that there is no opinion: the score decides alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from math import exp

import msgspec

from runtime.contract.reasons import Reason
from runtime.dialects.openai_chat.dialect import CHAT
from runtime.dispatch.job import Job, Outcome
from runtime.life.ask import Ask
from runtime.life.collected import Collected
from runtime.life.desk import Desk
from runtime.routing.plan.nearest import Inputs
from runtime.routing.plan.opinion import LONGEST_S
from runtime.routing.plan.plan import Candidate, Plan
from runtime.wire.raw_body import RawBody

LABELS = ("easy", "hard")
BEGINNING, END = 1_500, 500  # characters of the user's last message that the model is shown
MOST_BYTES = 64 << 10  # of its answer
_TOP = 20
_ASKED = (
    "Rate the request that stands between the lines. Do not answer it. Say easy if a small language model would get it "
    "right, hard if it takes an expert, several steps of reasoning or rare knowledge."
)
_WORDS = "the local model is asked what the prompt needs"


class _Top(msgspec.Struct):
    token: str
    logprob: float


class _Entry(msgspec.Struct):
    top_logprobs: list[_Top] = []


class _Logprobs(msgspec.Struct):
    content: list[_Entry] | None = None


class _Choice(msgspec.Struct):
    logprobs: _Logprobs | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] = []


_decoder = msgspec.json.Decoder(_Answer)


def question(text: str) -> RawBody:
    """The body that asks for an opinion on a text."""
    if len(text) > BEGINNING + END:
        text = f"{text[:BEGINNING]}\n[…]\n{text[-END:]}"
    content = f"{_ASKED}\n-----\n{text}\n-----\nIs this request easy or hard?"
    body = {
        "model": "local",
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": _TOP,
        "structured_outputs": {"choice": LABELS},
        "chat_template_kwargs": {"enable_thinking": False},
    }
    return RawBody(msgspec.json.encode(body))


def read_opinion(body: bytes) -> float | None:
    """The share of "hard" among the tokens that begin a label, to four digits; None if the answer does not show it."""
    try:
        choices = _decoder.decode(body).choices
    except msgspec.DecodeError:
        return None
    content = choices[0].logprobs.content if choices and choices[0].logprobs is not None else None
    shares = dict.fromkeys(LABELS, 0.0)
    for each in content[0].top_logprobs if content else ():
        begun = each.token.strip()
        for label in LABELS if begun else ():
            if label.startswith(begun):
                shares[label] += exp(min(0.0, each.logprob))
    total = sum(shares.values())
    return round(shares["hard"] / total, 4) if total > 0.0 else None


async def with_opinion(desk: Desk, ask: Ask, inputs: Inputs, outcome: Outcome) -> Inputs:
    """The inputs with the local model's opinion, as they were where there is none. `outcome.judged` is set to the exchange."""
    query, local = inputs.query, inputs.fleet.local
    assert local is not None
    body = question(query.text.ask)
    facts = desk.planner.read(CHAT.name, body.data, {}).facts
    now = desk.clock()
    job = Job(ask.id, CHAT, body, {}, facts, arrived=ask.arrived, deadline=now + 2 * LONGEST_S, caller=ask.caller.id)
    alone = Plan((Candidate(local.target, Reason.PINNED, _WORDS),), Reason.PINNED, _WORDS, pinned=True)
    sink, own = Collected(MOST_BYTES), Outcome()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_S):
                await desk.dispatcher.run(job, alone, sink, own)
    finally:
        outcome.judged = own.exchanges[-1] if own.exchanges else None
    hard = read_opinion(sink.body) if own.answered else None
    if hard is None:
        return inputs
    return inputs._replace(query=query.changed(opinion=hard))
