"""Personal data in what is about to leave: off, warn and enforce."""

from __future__ import annotations

from runtime.settings import Escalation, Privacy
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


async def test_enforce_refuses_where_nobody_may() -> None:
    """A pin to a cloud without the certificate: 403."""
    made = box(Privacy(detect="enforce"))
    settled, _ = await made.live(made.ask(MAIL, model="plain"))
    assert settled.error is not None and (settled.error.status, settled.error.code) == (403, "no_compliant_target")
    assert made.calls == [0, 0]
