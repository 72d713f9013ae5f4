"""The local model's opinion on what a prompt needs: one token, held to two labels, asked before the plan is made again.

Asked only where the plan says that the opinion would decide (`Plan.undecided`). Whatever goes wrong, and an answer that is not
there in time, means that there is no opinion: the score decides alone.
"""

from __future__ import annotations

from math import exp

import msgspec

from runtime.dispatch.job import Outcome
from runtime.life.ask import Ask
from runtime.life.desk import Desk
from runtime.life.labelled import asked_here, label_question
from runtime.routing.plan.nearest import Inputs
from runtime.routing.plan.opinion import LONGEST_S
from runtime.wire.raw_body import RawBody

LABELS = ("easy", "hard")
BEGINNING, END = 1_500, 500  # characters of the user's last message that the model is shown
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
    return label_question(content, LABELS, logprobs=True, top_logprobs=_TOP)


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
    said = Outcome()
    try:
        body = await asked_here(desk, ask, local.target, question(query.text.ask), LONGEST_S, _WORDS, said)
    finally:
        outcome.judged = said.exchanges[-1] if said.exchanges else None
    hard = read_opinion(body) if body else None
    if hard is None:
        return inputs
    return inputs._replace(query=query.changed(opinion=hard))
