"""The door for requests that another Hearth sends: admitted or refused from their headers, before the body is read.

The owner of an engine decides by its own ledger. What it takes is answered by its own engine alone, and never passed on.
A request about something that is stored here (`x-hearth-for`) is answered as the caller's whom the sender names.
"""

from __future__ import annotations

from runtime.contract.guard import missing
from runtime.contract.targets import FLEET
from runtime.fleet.peers import DECISION, HOP, MODEL, TOKENS, WITHIN, read_ask
from runtime.life.desk import Desk
from runtime.server.asgi import ClientRequest
from runtime.server.forwarding import FOR, HOST, LINK, PLAIN, STORED
from runtime.trust.keys import Keys
from runtime.wire.api_error import ApiError

_MOST_ID = 96


class Hops:
    """Callable with each request that has the header `x-hearth-hop`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def __call__(self, request: ClientRequest, keys: Keys) -> None:
        """Takes the request for this Hearth's engine, under the sender's decision id. Raises ApiError where it is refused.

        400 from anybody but a Hearth of the fleet, 403 for a demand that the engine does not meet, 404 for another model, 429
        and 503 with the predicted wait where there is no room.
        """
        if request.caller.id != FLEET:
            raise ApiError(400, f"{HOP} is for the Hearths of a fleet, with its key", "invalid_hint", HOP)
        try:
            asked = read_ask(request.headers)
        except ValueError as wrong:
            raise ApiError(400, str(wrong), "invalid_hint", HOP) from wrong
        if (caller := request.headers.pop(FOR, None)) is not None:
            if not request.path.startswith(STORED):
                raise ApiError(400, f"{FOR} is for what is stored here", "invalid_hint", FOR)
            del request.headers[HOP]
            request.caller, request.link = keys.acting(caller), request.headers.pop(LINK, PLAIN)
            request.headers["host"] = request.headers.pop(HOST, request.headers.get("host", ""))
            return
        if request.method != "POST":
            raise ApiError(400, f"{HOP} without {FOR} is for work of the engine", "invalid_hint", HOP)
        for name in (HOP, TOKENS, MODEL, WITHIN, DECISION):
            request.headers.pop(name, None)
        target, fleet = self._desk.fleet.local.target, self._desk.fleet
        if asked.model != target.model:
            raise ApiError(404, f"this Hearth serves {target.model}, not {asked.model[:100]!r}", "model_not_found")
        requires = frozenset(each for each in request.headers.get("x-hearth-requires", "").split(",") if each)
        if requires and not target.on_box and (lacking := missing(requires, target.certified)):
            words = f"this engine is not certified for {' and '.join(sorted(lacking))}"
            raise ApiError(403, words, "no_compliant_target")
        load = fleet.load(asked.tokens)
        if load is None:
            raise ApiError(503, "the engine of this Hearth is not up", "engine_not_ready", retry_after=5.0)
        predicted_s = load.reading.predicted_ttft_s
        if load.pressure.over is not None:
            raise ApiError(429, load.pressure.words, "queue_full", retry_after=max(1.0, predicted_s))
        if asked.within_s is not None and predicted_s > asked.within_s:
            raise ApiError(429, f"first token predicted in {predicted_s:.1f} s", "queue_full", retry_after=predicted_s)
        if 0 < len(asked.decision) <= _MOST_ID and asked.decision.isascii() and asked.decision.isprintable():
            request.id = asked.decision
