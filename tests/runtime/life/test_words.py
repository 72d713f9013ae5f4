"""Names and health words by the local engine: one token of four labels for each piece of what is about to leave."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from runtime.life.words import MOST_PIECES, PIECE, pieces, read_label
from runtime.settings import Escalation, Privacy
from tests.fakes.box import LEAVE, Box
from tests.fakes.upstream import HANG, Turn, cloud, engine_backend, error, told, whole

TEXT = "Maria Kowalska has been feeling low since her second round of chemotherapy"
AWAY = Turn(told("there"))


def said(label: str) -> Turn:
    return Turn([whole(label)])


def box(*turns: Turn, detect: str = "enforce", escalation: Escalation = LEAVE, **more: Any) -> Box:
    """An engine that plays the turns, and a cloud that everything leaves for."""
    made = Box(engine_backend((*turns, Turn([whole("here")]))), [cloud("plain", AWAY)], escalation)
    made.desk.privacy = Privacy.model_validate({"detect": detect, "names": "engine", **more})
    return made


async def settled(made: Box, text: str = TEXT, **members: Any) -> tuple[tuple[str, ...], str | None]:
    """The kinds on record, and who answered."""
    await made.live(made.ask(text, **members))
    return made.records.rows[-1].personal, made.records.rows[-1].target


HERE, THERE = "local/small", "vendor/plain-model"


@pytest.mark.parametrize(
    ("label", "kinds", "where"),
    [("person", ("name",), HERE), ("health", ("health",), HERE), ("bo", ("health", "name"), HERE), ("nothing", (), THERE),
     ("n", (), THERE), ("I think", ("unread",), HERE), ("", ("unread",), HERE)],
)  # fmt: skip
async def test_the_label_decides_where_a_request_may_go(label: str, kinds: tuple[str, ...], where: str) -> None:
    """A token that only begins a label counts for it; one that begins none means that nothing was found out."""
    assert await settled(box(said(label))) == (kinds, where)


async def test_warn_names_the_kinds_and_sends() -> None:
    """Also that nobody looked."""
    assert await settled(box(said("both"), detect="warn")) == (("health", "name"), THERE)
    assert await settled(box(error(503), detect="warn")) == (("unread",), THERE)


async def test_one_token_of_given_labels_is_asked_for() -> None:
    """With no thinking and no log probabilities; the request itself goes on untouched."""
    made = box(said("nothing"))
    await settled(made)
    (asked,) = made.local.lanes[0].hop.bodies
    assert asked["max_tokens"] == 1 and asked["temperature"] == 0 and "logprobs" not in asked
    assert asked["structured_outputs"] == {"choice": ["nothing", "person", "health", "both"]}
    assert TEXT in asked["messages"][0]["content"]


async def test_nothing_is_asked_where_nobody_wants_to_know() -> None:
    """Names not looked for, nothing leaves, or the patterns have already found what enforce needs to know."""
    for made, text in (
        (box(names="off"), TEXT),
        (box(escalation=Escalation(mode="off")), TEXT),
        (box(), "write to max@example.com"),
    ):
        await settled(made, text)
        assert not any("structured_outputs" in body for body in made.local.lanes[0].hop.bodies)


async def test_a_long_text_is_asked_about_in_pieces_at_once() -> None:
    """What one of them holds, the request holds."""
    text = "Nothing to see in this sentence. " * 180
    made = box(said("nothing"), said("person"), said("nothing"))
    assert await settled(made, text) == (("name",), HERE)
    asked = [body for body in made.local.lanes[0].hop.bodies if "structured_outputs" in body]
    assert len(asked) == 3 and all(len(body["messages"][0]["content"]) < PIECE + 500 for body in asked)


async def test_what_is_too_long_counts_as_not_looked_into() -> None:
    """A bounded number of pieces is asked about, and the rest is named."""
    made = box(*[said("nothing")] * MOST_PIECES)
    kinds, _ = await settled(made, "word " * (PIECE * (MOST_PIECES + 1) // 5))
    assert kinds == ("unread",) and made.calls[1] == 0
    assert sum("structured_outputs" in body for body in made.local.lanes[0].hop.bodies) == MOST_PIECES


@pytest.mark.parametrize("turn", [Turn(wait=HANG), error(500), Turn([b"{}"])], ids=["silent", "broken", "empty"])
async def test_an_engine_that_does_not_say_closes_the_way_out(turn: Turn) -> None:
    """In time, as the settings have it; the request is then answered like one with personal data."""
    made = box(turn, names_within=0.05)
    assert await asyncio.wait_for(settled(made), 30) == (("unread",), HERE)


async def test_an_engine_elsewhere_or_down_is_not_asked() -> None:
    """A prompt is shown to no other machine so that somebody says whether it may leave this one."""
    made = box(said("nothing"))
    for lane in made.local.lanes:
        lane.ready = False
    await settled(made)
    assert made.records.rows[-1].personal == ("unread",) and made.calls == [0, 0]


def test_pieces_end_at_blanks_and_hold_all() -> None:
    """No word is cut but one that is as long as a piece."""
    text = "one two three four five " * 40
    made, whole_ = pieces(text, 50)
    assert whole_ is False and len(made) == MOST_PIECES
    made, whole_ = pieces(text, 50, 1_000)
    assert whole_ and "".join(made) == text and all(len(each) <= 50 and each.endswith(" ") for each in made)
    assert pieces("x" * 120, 50, 9) == (["x" * 50, "x" * 50, "x" * 20], True)
    assert pieces("", 50) == ([], True)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"choices":[{"message":{"content":null}}]}', b'{"choices":[{}]}']
)
def test_an_answer_without_a_label_says_nothing(body: bytes) -> None:
    """Whatever its shape."""
    assert read_label(body) == {"unread"}


def test_a_label_is_read_by_its_beginning() -> None:
    """However the model writes it."""
    answer = json.dumps({"choices": [{"message": {"content": " Person"}}]}).encode()
    assert read_label(answer) == {"name"}
