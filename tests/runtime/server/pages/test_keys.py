"""Keys that are created while the server runs: who they let in, to what, and how often."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.door import Door, Setup, opened
from tests.fakes.upstream import Turn, engine_backend, whole

ADMIN = {"authorization": "Bearer root"}
ASKED = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}


async def made(door: Door, **terms: Any) -> tuple[str, dict[str, str]]:
    answer = await door.client.post("/hearth/keys", json={"name": "web", **terms}, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    return answer.json()["key"]["id"], {"x-api-key": answer.json()["secret"]}


async def chat(door: Door, key: dict[str, str], **body: Any) -> httpx.Response:
    return await door.client.post("/v1/chat/completions", json=ASKED | body, headers=key)


def setup() -> Setup:
    return Setup(engine_backend((Turn([whole("x")]),)), admins=("root",))


async def test_a_key_is_created_rotated_and_revoked_without_a_restart(tmp_path: Path) -> None:
    """A secret is in one answer alone; a revoked key is refused at once."""
    async with opened(setup(), tmp_path) as door:
        id, key = await made(door)
        assert (await chat(door, key)).status_code == 200
        listed = await door.client.get("/hearth/keys", headers=ADMIN)
        assert listed.json()["data"][0]["id"] == id and key["x-api-key"] not in listed.text
        turned = await door.client.post("/hearth/keys/web/rotate", json={}, headers=ADMIN)
        assert turned.json()["key"]["id"] == id and (await chat(door, key)).status_code == 401
        fresh = {"x-api-key": turned.json()["secret"]}
        assert (await chat(door, fresh)).status_code == 200
        decision = (await door.client.get("/hearth/decisions?limit=1", headers=ADMIN)).json()["data"][0]
        assert decision["caller"] == id
        assert (await door.client.request("DELETE", f"/hearth/keys/{id}", headers=ADMIN)).status_code == 200
        assert (await chat(door, fresh)).status_code == 401


async def test_only_an_admin_sees_or_makes_keys(tmp_path: Path) -> None:
    """With a key that may generate and read it is 403; two of one name are 409, unknown ones 404, bad terms 400."""
    async with opened(setup(), tmp_path) as door:
        _, key = await made(door)
        assert (await door.client.get("/hearth/keys", headers=key)).status_code == 403
        assert (await door.client.post("/hearth/keys", json={"name": "x"}, headers=key)).status_code == 403
        post = door.client.post
        assert (await post("/hearth/keys", json={"name": "web"}, headers=ADMIN)).status_code == 409
        assert (await post("/hearth/keys", json={"name": "y", "odd": 1}, headers=ADMIN)).status_code == 400
        assert (await post("/hearth/keys/none/rotate", json={}, headers=ADMIN)).status_code == 404


@pytest.mark.parametrize(
    ("terms", "body", "code"),
    [
        ({"models": ["local"]}, {}, "model_not_allowed"),
        ({"targets": ["anthropic/*"]}, {}, "target_not_allowed"),
        ({"priorities": ["batch"]}, {"hearth": {"priority": "interactive"}}, "priority_not_allowed"),
        ({"requires": ["local_only"], "targets": ["local"], "models": ["au*"]}, {}, None),
    ],
)
async def test_a_key_uses_what_it_allows_alone(
    tmp_path: Path, terms: dict[str, Any], body: dict[str, Any], code: str | None
) -> None:
    """403 names what is forbidden, and a record is kept; the allowed request passes."""
    async with opened(setup(), tmp_path) as door:
        _, key = await made(door, **terms)
        answer = await chat(door, key, **body)
        assert (answer.status_code, answer.json().get("error", {}).get("code")) == (403 if code else 200, code)
        assert answer.headers["x-hearth-decision"]


async def test_the_limits_of_a_key_stand_in_the_headers_of_each_wire(tmp_path: Path) -> None:
    """Requests left, and after the last one 429 with Retry-After; Anthropic's names on its own wire."""
    async with opened(setup(), tmp_path) as door:
        _, key = await made(door, requests_per_minute=2, tokens_per_minute=100000)
        first = await chat(door, key)
        assert (
            first.headers["x-ratelimit-limit-requests"] == "2" and first.headers["x-ratelimit-limit-tokens"] == "100000"
        )
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        assert re.fullmatch(r"(29|30)s", first.headers["x-ratelimit-reset-requests"])
        assert int(first.headers["x-ratelimit-remaining-tokens"]) < 99_000  # those that the answer may take
        await chat(door, key)
        third = await chat(door, key)
        assert third.status_code == 429 and third.json()["error"]["code"] == "rate_limit_exceeded"
        assert 1 <= int(third.headers["retry-after"]) <= 30 and third.headers["x-ratelimit-remaining-requests"] == "0"
        message = await door.client.post("/v1/messages", json=ASKED | {"max_tokens": 5}, headers=key)
        assert message.status_code == 429 and message.json()["error"]["type"] == "rate_limit_error"
        assert message.headers["anthropic-ratelimit-requests-remaining"] == "0"
        assert message.headers["anthropic-ratelimit-requests-reset"].endswith("Z")
        assert (await door.client.get("/v1/models", headers=key)).status_code == 200


async def test_an_explanation_keeps_to_the_key(tmp_path: Path) -> None:
    """A key that may not use what would answer is shown the refusal it would get, and no forbidden target."""
    async with opened(setup(), tmp_path) as door:
        _, key = await made(door, targets=["nobody/*"])
        shown = (await door.client.post("/hearth/explain", json=ASKED, headers=key)).json()
        assert (shown["target"], shown["refusal"]["code"]) == (None, "target_not_allowed")
        assert not shown["candidates"] and all(each["target"] is None for each in shown["would_change"])
        _, free = await made(door, name="free")
        assert (await door.client.post("/hearth/explain", json=ASKED, headers=free)).json()["target"] is not None
