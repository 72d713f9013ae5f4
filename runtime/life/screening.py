"""Personal data in a request that is about to leave: named in its record, and under `enforce` a reason to plan again."""

from __future__ import annotations

from functools import partial

from runtime.dispatch.aside import aside
from runtime.life.ask import Ask
from runtime.routing.plan.nearest import Inputs
from runtime.routing.plan.plan import Plan
from runtime.settings import Privacy
from runtime.trust.personal import kinds_of


def leaves(privacy: Privacy, plan: Plan) -> bool:
    """True if the plan's first candidate is off this machine; under `enforce` if any is, for a fallback leaves too.

    For a `detect` that is not off.
    """
    looked = plan.candidates if privacy.detect == "enforce" else plan.candidates[:1]
    return not all(each.target.on_box for each in looked)


async def screened(privacy: Privacy, ask: Ask, inputs: Inputs) -> tuple[Inputs, frozenset[str]]:
    """The material of the plan, with what `enforce` demands besides where there is personal data, and the kinds of it.

    A large body is read beside the event loop.
    """
    kinds = await aside(partial(kinds_of, ask.body.data), len(ask.body.raw))
    if not kinds or privacy.detect != "enforce":
        return inputs, kinds
    return inputs._replace(query=inputs.query.demanding(frozenset(privacy.add))), kinds
