"""Names and health in a text, found by the local engine: one token for each piece of it, held to four labels.

Asked only for what is about to leave, only where `[privacy] names` is "engine", and only of an engine on this machine: an
attached one elsewhere would be shown the text before anybody knows what is in it. What was not answered in time, and what is
longer than is asked about, counts as not looked into.
"""

from __future__ import annotations

import asyncio

import msgspec

from runtime.life.ask import Ask
from runtime.life.desk import Desk
from runtime.life.labelled import asked_here, label_question
from runtime.routing.plan.nearest import Inputs
from runtime.trust.personal import HEALTH, NAME, UNREAD
from runtime.wire.raw_body import RawBody

PIECE = 2_000  # characters that are asked about at once
MOST_PIECES = 16  # all at the same time: the engine reads them as one batch
_LABELS = {
    "nothing": frozenset[str](),
    "person": {NAME},
    "health": {HEALTH},
    "both": {NAME, HEALTH},
}  # by their first letters
_ASKED = (
    "Look at the text that stands between the lines. Do not answer it. Say person if it names a private person, health if it "
    "speaks of somebody's illness or treatment, both if it does both, and nothing if it does neither."
)
_WORDS = "the local model is asked for names and health words"


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Answer(msgspec.Struct):
    choices: list[_Choice] = []


_decoder = msgspec.json.Decoder(_Answer)


def question(piece: str) -> RawBody:
    """The body that asks what a piece of text holds. What is the same for all pieces stands first, for the engine's cache."""
    return label_question(f"{_ASKED}\n-----\n{piece}\n-----\nnothing, person, health or both?", tuple(_LABELS))


def read_label(body: bytes) -> frozenset[str]:
    """The kinds that an answer names; UNREAD where it is none of the labels."""
    try:
        choices = _decoder.decode(body).choices
    except msgspec.DecodeError:
        return frozenset({UNREAD})
    said = (choices[0].message.content or "").strip().lower() if choices else ""
    return next(
        (frozenset(kinds) for label, kinds in _LABELS.items() if said and label.startswith(said)), frozenset({UNREAD})
    )


def pieces(text: str, size: int = PIECE, most: int = MOST_PIECES) -> tuple[list[str], bool]:
    """The text in pieces that end at a blank, and True if that is all of it. A word longer than a tenth of a piece is cut."""
    made: list[str] = []
    at = 0
    while at < len(text) and len(made) < most:
        end = at + size
        blank = max(text.rfind(each, end - size // 10, end) for each in " \n") if end < len(text) else -1
        end = blank + 1 if blank > 0 else end
        made.append(text[at:end])
        at = end
    return [each for each in made if not each.isspace()], at >= len(text)


async def words_found(desk: Desk, ask: Ask, inputs: Inputs, text: str, within_s: float) -> frozenset[str]:
    """NAME and HEALTH where the engine finds them; UNREAD where it did not see all of the text in time."""
    local = inputs.fleet.local
    if local is None or not local.target.on_box or not local.replicas_ready:
        return frozenset({UNREAD})
    parts, whole = pieces(text)

    async def one(part: str) -> frozenset[str]:
        return read_label(await asked_here(desk, ask, local.target, question(part), within_s, _WORDS))

    found = await asyncio.gather(*map(one, parts))
    return frozenset().union(*found, () if whole else {UNREAD})
