"""Personal data in what is about to leave: off, warn and enforce."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.settings import Escalation, Privacy
from runtime.trust.outgoing import outgoing
from tests.fakes.box import LEAVE, Box
from tests.fakes.upstream import Turn, cloud, engine_backend, told, whole

MAIL = "write to max@example.com"


def box(privacy: Privacy, escalation: Escalation = LEAVE) -> Box:
    made = Box(engine_backend((Turn([whole("here")]),)), [cloud("plain", Turn(told("there")))], escalation)
    made.desk.privacy = privacy
    return made


async def test_off_and_on_the_box_nothing_is_looked_for() -> None:
    """Neither where it is off nor where nothing leaves."""
    for made in (box(Privacy()), box(Privacy(detect="warn"), replace_mode(Escalation()))):
        await made.live(made.ask(MAIL))
        assert made.records.rows[0].personal == ()


def replace_mode(escalation: Escalation) -> Escalation:
    return escalation.model_copy(update={"mode": "off"})


async def test_warn_names_the_kinds_and_sends() -> None:
    """The kinds stand in the record, the value does not."""
    made = box(Privacy(detect="warn"))
    await made.live(made.ask(MAIL))
    row = made.records.rows[0]
    assert (row.personal, row.target, row.requires) == (("mail",), "vendor/plain-model", ())
    assert "max@" not in repr(row)


async def test_enforce_plans_again() -> None:
    """What has personal data stays with who is certified: here the box; a fallback in a cloud is none either."""
    for escalation in (LEAVE, Escalation()):
        made = box(Privacy(detect="enforce", add=("zdr",)), escalation)
        await made.live(made.ask(MAIL))
        row = made.records.rows[0]
        assert (row.personal, row.target, row.requires) == (("mail",), "local/small", ("zdr",))
        assert made.calls == [1, 0]
    free = box(Privacy(detect="enforce"))
    await free.live(free.ask("write to nobody"))
    assert free.records.rows[0].target == "vendor/plain-model"


async def test_what_enforce_demands_holds_for_the_rest_of_the_conversation() -> None:
    """Also of a client that sends only the latest turns."""
    made = box(Privacy(detect="enforce"))
    made.records.rows.clear()
    await made.live(made.ask(MAIL, hearth={"session": "s"}))
    await made.live(made.ask("and now?", hearth={"session": "s"}))
    assert [row.requires for row in made.records.rows] == [("zdr",), ("zdr",)]
    assert made.calls == [2, 0]


async def test_a_request_that_is_longer_than_what_is_read_is_treated_like_one_with_personal_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was not read may hold anything."""
    monkeypatch.setattr("runtime.life.screening.outgoing", partial(outgoing, most=20))
    made = box(Privacy(detect="enforce"))
    await made.live(made.ask("nothing in particular, at some length"))
    row = made.records.rows[0]
    assert (row.personal, row.target, row.requires) == (("unread",), "local/small", ("zdr",))


async def test_what_other_wires_carry_is_read() -> None:
    """A system prompt beside the messages, and a tool's result among input items."""
    for dialect, members in (
        (MESSAGES, {"max_tokens": 5, "system": MAIL, "messages": [{"role": "user", "content": "hi"}]}),
        (ResponsesDialect(), {"input": [{"type": "function_call_output", "call_id": "c", "output": MAIL}]}),
    ):
        made = box(Privacy(detect="enforce"))
        asked: dict[str, Any] = {"messages": None, "model": "plain", **members}
        await made.live(made.ask(dialect=dialect, **asked))
        assert made.records.rows[0].personal == ("mail",) and made.calls[1] == 0, dialect.name


async def test_enforce_refuses_where_nobody_may() -> None:
    """A pin to a cloud without the certificate: 403."""
    made = box(Privacy(detect="enforce"))
    settled, _ = await made.live(made.ask(MAIL, model="plain"))
    assert settled.error is not None and (settled.error.status, settled.error.code) == (403, "no_compliant_target")
    assert made.calls == [0, 0]
