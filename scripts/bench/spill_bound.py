"""What somebody could reach who knows the engine, every length and every arrival to come: a bound for policies.

Finding the fewest requests to send away is a packing problem; this is a greedy answer to it, so that a policy may in theory be
better. The engine is run with all requests. When one is late, the one that holds most of the engine at that time leaves, and
the run begins anew, until no more are late than may be. Then those that turn out not to have been needed come back.
"""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Callable, Sequence

from scripts.bench.spill_engine import Blind, Engine, Request


def sent_away(
    asked: Sequence[Request], engine: Callable[[], Engine], target_s: float, late_share: float = 0.01
) -> frozenset[str]:
    """The ids of the requests that leave, so that all but `late_share` of the counted ones begin within the target."""
    allowed = math.floor(late_share * sum(request.counted for request in asked))
    gone = set[str]()
    while (worst := _in_the_way(asked, engine(), target_s, gone)) is not None:
        gone.add(worst.id)
    # Cheap ones first: most requests come back for the same number of late ones.
    size = {request.id: request.prompt + request.output for request in asked}
    for id in sorted(gone, key=size.__getitem__):
        if len(_late(asked, engine(), target_s, gone - {id})) <= allowed:
            gone.discard(id)
    return frozenset(gone)


def _in_the_way(asked: Sequence[Request], engine: Engine, target_s: float, gone: set[str]) -> Request | None:
    """Of the requests at the engine when the first one is late, the largest that arrived no later; None if none is late."""
    waiting = deque[Request]()
    for request in (*(copy.copy(each) for each in asked if each.id not in gone), None):
        until = request.at if request is not None else math.inf
        while waiting and waiting[0].at + target_s < until:
            first = waiting.popleft()
            engine.run(first.at + target_s, Blind())
            if first.first_at is None:
                here = [each for each in (*engine.active, *engine.queue) if each.at <= first.at]
                return max(here, key=lambda each: each.prompt + each.output)
        if request is not None:
            engine.run(request.at, Blind())
            engine.send(request)
            waiting.append(request)
    return None


def _late(asked: Sequence[Request], engine: Engine, target_s: float, gone: set[str]) -> list[Request]:
    """The counted requests that begin too late if those leave."""
    here = [copy.copy(each) for each in asked if each.id not in gone]
    for request in here:
        engine.run(request.at, Blind())
        engine.send(request)
    engine.drain(Blind())
    return [each for each in here if each.counted and (each.first_at or math.inf) - each.at > target_s]
