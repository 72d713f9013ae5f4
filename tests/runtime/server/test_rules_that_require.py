"""A rule that demands a certificate binds every request it matches, pinned ones and conversations too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime.settings import Escalation, Rule, When
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import Turn, cloud, engine_backend, told, whole

PATIENTS = Rule(when=When(header={"x-team": "clinic"}), requires=("hipaa",))
CLINIC = {"x-team": "clinic"}
CHAT = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}


async def test_a_matching_request_never_reaches_who_is_not_certified(tmp_path: Path) -> None:
    """Not even when everything else would leave the box, and not when it is pinned to that target."""
    plain = cloud("plain", Turn(told("no")))
    local = engine_backend((Turn([whole("from the box")]),))
    async with opened(Setup(local, [plain], Escalation(queue_depth=0), rules=(PATIENTS,)), tmp_path) as door:
        answer = await door.client.post("/v1/chat/completions", json=CHAT, headers=CLINIC)
        assert answer.headers["x-hearth-target"] == "local/small"
        assert answer.headers["x-hearth-reason"] == "requires"
        pinned = await door.client.post("/v1/chat/completions", json=CHAT | {"model": "plain"}, headers=CLINIC)
        assert (pinned.status_code, pinned.json()["error"]["code"]) == (403, "no_compliant_target")
        assert plain.lanes[0].hop.calls == []
        rows = (await door.client.get("/hearth/decisions")).json()["data"]
        assert [row["requires"] for row in rows] == [["hipaa"], ["hipaa"]]


async def test_one_that_does_not_match_is_free(tmp_path: Path) -> None:
    """The rule's condition is the whole of its reach."""
    plain = cloud("plain", Turn([whole("from the cloud")]))
    local = engine_backend((Turn([whole("from the box")]),))
    async with opened(Setup(local, [plain], Escalation(queue_depth=0), rules=(PATIENTS,)), tmp_path) as door:
        answer = await door.client.post("/v1/chat/completions", json=CHAT)
        assert answer.headers["x-hearth-target"] == "vendor/plain-model"


async def test_a_demand_holds_for_the_rest_of_its_conversation(tmp_path: Path) -> None:
    """For turns that do not repeat it, and for whatever names the same session; not for other conversations."""
    plain = cloud("plain", *[Turn([whole("from the cloud")])] * 9)
    local = engine_backend((Turn([whole("from the box")]),) * 9)
    turns = [*CHAT["messages"], {"role": "assistant", "content": "hello"}, {"role": "user", "content": "and now?"}]
    asked: list[tuple[Any, str]] = [
        (CHAT | {"hearth": {"requires": ["hipaa"]}}, "local/small"),
        (CHAT, "vendor/plain-model"),  # the first turn of another conversation
        (CHAT | {"messages": turns}, "local/small"),
        (CHAT | {"hearth": {"session": "s", "requires": ["hipaa"]}}, "local/small"),
        (CHAT | {"hearth": {"session": "s"}}, "local/small"),
        (CHAT | {"hearth": {"session": "t"}}, "vendor/plain-model"),
    ]
    async with opened(Setup(local, [plain], Escalation(queue_depth=0)), tmp_path) as door:
        for body, target in asked:
            answer = await door.client.post("/v1/chat/completions", json=body)
            assert answer.headers["x-hearth-target"] == target, body
        counted = await door.client.post("/v1/messages/count_tokens", json={"model": "plain", "messages": turns})
        assert counted.status_code == 403
        assert len(plain.lanes[0].hop.calls) == 2
