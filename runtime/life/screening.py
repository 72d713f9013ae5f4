"""Personal data in a request that is about to leave: named in its record, and under `enforce` a reason to plan again."""

from __future__ import annotations

from functools import partial

from runtime.dispatch.aside import aside
from runtime.life.ask import Ask
from runtime.life.desk import Desk
from runtime.life.words import words_found
from runtime.routing.plan.nearest import Inputs
from runtime.routing.plan.plan import Plan
from runtime.settings import Privacy
from runtime.trust.outgoing import outgoing
from runtime.trust.personal import kinds_in_all


def leaves(privacy: Privacy, plan: Plan) -> bool:
    """True if the plan's first candidate is off this machine; under `enforce` if any is, for a fallback leaves too.

    For a `detect` that is not off.
    """
    looked = plan.candidates if privacy.detect == "enforce" else plan.candidates[:1]
    return not all(each.target.on_box for each in looked)


async def screened(desk: Desk, ask: Ask, inputs: Inputs) -> tuple[Inputs, frozenset[str]]:
    """The material of the plan, with what `enforce` demands besides where there is personal data, and the kinds of it.

    Patterns first: under `enforce` one kind is enough, and nobody is asked for names. A large body is read beside the event
    loop. What is demanded holds for the rest of the conversation, as if the client had demanded it.
    """
    privacy, size = desk.privacy, len(ask.body.raw)
    sent = await aside(partial(outgoing, ask.body.data), size)
    kinds = await aside(partial(kinds_in_all, sent), size)
    enforced = privacy.detect == "enforce"
    if privacy.names != "off" and not (kinds and enforced):
        if privacy.names == "engine":
            kinds |= await words_found(desk, ask, inputs, sent.text, privacy.names_within)
        else:
            kinds |= await desk.presidio.names(sent.text, privacy.names_within)
    if not kinds or not enforced:
        return inputs, kinds
    query = inputs.query.demanding(frozenset(privacy.add))
    if query.facts.restricted:
        desk.planner.remember(query.facts)
    return inputs._replace(query=query), kinds
