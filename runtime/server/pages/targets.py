"""`POST /hearth/targets/NAME/probe|hold|close`: what an operator does to a target's breaker."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated

import msgspec

from runtime.dialects.openai_chat.dialect import CHAT
from runtime.fleet.breaker import Breaker
from runtime.life.ask import Ask
from runtime.life.collected import Collected
from runtime.life.desk import Desk
from runtime.life.life import live
from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.server.pages.wishes import body_as
from runtime.trust.changes import AdminChange
from runtime.wire.api_error import ApiError, nothing_at
from runtime.wire.raw_body import RawBody

PATH = "/hearth/targets/"
_MOST_BYTES = 10_000
_PROBE = {"messages": [{"role": "user", "content": "Answer with one word: ready?"}], "max_tokens": 16, "stream": True}


class Hold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """seconds: how long nothing is sent to the target."""

    seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 600.0


class TargetPages:
    """note: gets every change."""

    def __init__(self, desk: Desk, note: Callable[[AdminChange], object]) -> None:
        self._desk, self._note = desk, note

    def table(self) -> dict[tuple[str, str], Page]:
        return {("POST", PATH): self.steer}

    async def steer(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError 404 for a target that is not configured here, or an unknown verb; 400 for a bad body."""
        name, _, verb = request.path.removeprefix(PATH).rpartition("/")
        if verb not in ("probe", "hold", "close"):
            raise nothing_at(request.path)
        try:
            breaker = self._desk.fleet.breaker(name)
        except KeyError:
            raise ApiError(404, f"no target that can be called is named {name[:100]!r}", "target_not_found") from None
        terms = await body_as(request, Hold, _MOST_BYTES)
        now = self._desk.clock()
        shown: dict[str, object] = {}
        if verb == "hold":
            breaker.hold(now + terms.seconds)
            words = f"nothing is sent to {name} for {terms.seconds:g} s"
        elif verb == "close":
            breaker.close()
            words = f"{name} is used again"
        else:
            breaker.probe(now)
            words, shown = await self._probed(request, name)
        self._note(AdminChange(self._desk.wall(), request.caller.id, "target", words))
        await request.answer_json(200, {"words": words, **shown, **_state(breaker, self._desk.clock())}, extra)

    async def _probed(self, request: ClientRequest, name: str) -> tuple[str, dict[str, object]]:
        """One small request to the target: an ordinary one, with its record and its cost."""
        desk, sink = self._desk, Collected()
        body = RawBody(json.dumps({"model": name, **_PROBE}).encode())
        settled = await live(desk, Ask(request.id, CHAT, body, {}, desk.clock(), request.caller), sink)
        made = settled.decision
        if settled.error is not None:
            return f"{name} did not answer: {settled.error.message}", {"ok": False, "decision": made.id}
        return f"{name} answered in {made.total_ms:.0f} ms", {"ok": True, "decision": made.id}


def _state(breaker: Breaker, now: float) -> dict[str, object]:
    return {"breaker": breaker.state(now), "retry_in_s": round(breaker.retry_in(now), 1)}
