"""The engine and the targets at one moment, as frozen values. Knows nothing of the breakers, replicas and ledgers behind
them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from runtime.contract.pressure import CALM, Pressure
from runtime.contract.session import Session
from runtime.contract.targets import Target
from runtime.routing.plan.demotion import NO_DEMOTIONS, Demotions


class LocalState(msgspec.Struct, frozen=True):
    """The box's engine for one request.

    ready_in_s: estimate until a replica is ready, None if unknown.
    pressure: of the best replica. predicted_ttft_s: there, for this prompt.
    wait_s: estimate until that replica has room again, for Retry-After; None if unknown. alone: nothing is before it there,
    so that it would not be sooner later. share: an equal share of the requests there over the
    caller's own, this one included; 0.0: there is no other caller.
    why: the cause of its last failure, in words. state: of a model beside the engine's own, in words; of that itself, while its
    model is exchanged for another.
    successor: the target that took its place, and its tasks.
    """

    target: Target
    replicas_ready: int = 1
    starting: bool = False
    given_up: bool = False
    ready_in_s: float | None = None
    pressure: Pressure = CALM
    predicted_ttft_s: float = 0.0
    wait_s: float | None = None
    alone: bool = False
    share: float = 0.0
    why: str = ""
    state: str = ""
    successor: str = ""


class TargetState(msgspec.Struct, frozen=True):
    """One cloud target.

    available: False while its breaker is open or its key is absent; `why` says which.
    absent: it has no usable key: as if it were not configured, until the settings change.
    until: when it is expected to be available again, seconds on the clock of `plan`'s `now`; None if unknown.
    ttft_s: time to a first token within which nine in ten of its latest answers began; None before the first.
    spent: the budget that has no room for this request, in words; "" if there is room. renews_s: seconds until its period ends.
    """

    target: Target
    available: bool = True
    why: str = ""
    absent: bool = False
    until: float | None = None
    ttft_s: float | None = None
    spent: str = ""
    renews_s: float | None = None


class Fleet(msgspec.Struct, frozen=True):
    """targets: by name; a lent model (`names.Lent`) must be in it under PROVIDER/MODEL before a request for it is
    planned. session: the conversation that the request continues; None if it begins one, or its earlier turns are not known.
    models: the local models beside the engine's own, by target name (`local/NAME`).
    shift: of the complexity thresholds, by `cloud_share`. demoted: targets that failed their golden sets.
    """

    local: LocalState | None = None
    targets: Mapping[str, TargetState] = msgspec.field(default_factory=dict)
    session: Session | None = None
    shift: float = 0.0
    demoted: Demotions = NO_DEMOTIONS
    models: Mapping[str, LocalState] = msgspec.field(default_factory=dict)
