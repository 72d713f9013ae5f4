"""The page of settings: what is in force and from where, and changes that reach the file whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from runtime.life.kept import Kept
from runtime.quality.replay import Unanswerable, replayed
from runtime.record.database import Query
from tests.fakes.door import Door, Setup, opened
from tests.fakes.upstream import Turn, cloud, engine_backend, told, whole

ADMIN = {"authorization": "Bearer root"}
TEXT = "# mine\n[escalation]\nttft_ms = 1500  # why\n"


def setup(file: Path | None, text: str = TEXT) -> Setup:
    if file is not None:
        file.write_text(text)
    return Setup(engine_backend((Turn([whole("x")]),)), admins=("root",), keys=("user",), settings_file=file)


async def put(door: Door, tag: str | None = None, **body: Any) -> httpx.Response:
    if tag is None:
        tag = (await door.client.get("/hearth/settings", headers=ADMIN)).json()["etag"]
    headers = ADMIN | ({"if-match": f'"{tag}"'} if tag else {})
    return await door.client.put("/hearth/settings", json=body, headers=headers)


def one(value: Any, *key: str) -> dict[str, Any]:
    return {"set": [{"key": list(key), "value": value}]}


async def test_every_value_says_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of the file, a variable, or the default; secrets are references; readers without admin see nothing."""
    monkeypatch.setenv("HEARTH_RETRIES__ATTEMPTS", "3")
    async with opened(setup(tmp_path / "hearth.toml"), tmp_path) as door:
        shown = (await door.client.get("/hearth/settings", headers=ADMIN)).json()
        rows = {".".join(map(str, each["key"])): each for each in shown["values"]}
        assert (rows["escalation.ttft_ms"]["value"], rows["escalation.ttft_ms"]["from"]) == (1500, "hearth.toml:3")
        assert rows["retries.attempts"]["variable"] and rows["retries.attempts"]["from"] == "HEARTH_RETRIES__ATTEMPTS"
        assert rows["escalation.release"]["from"] == "default" and rows["escalation.release"]["editable"]
        assert not rows["server.port"]["editable"] and rows["escalation.mode"]["choices"] == ["act", "advise", "off"]
        assert shown["writable"] and (await door.client.get("/hearth/settings", headers=user())).status_code == 403


def user() -> dict[str, str]:
    return {"authorization": "Bearer user"}


async def test_a_change_reaches_the_file_and_is_in_force_and_recorded(tmp_path: Path) -> None:
    """The difference is shown first and changes nothing; then the file has it, its comments kept; the audit log too."""
    file = tmp_path / "hearth.toml"
    async with opened(setup(file), tmp_path) as door:
        dry = await put(door, **one(1800, "escalation", "ttft_ms"), dry=True)
        assert "+ttft_ms = 1800  # why" in dry.json()["diff"] and file.read_text() == TEXT
        file.chmod(0o640)
        saved = await put(door, **one(1800, "escalation", "ttft_ms"))
        assert saved.status_code == 200 and file.read_text() == TEXT.replace("1500", "1800")
        assert file.stat().st_mode & 0o777 == 0o640 and door.house.reloads == 1
        assert door.house.loaded.settings.escalation.ttft_ms == 1800
        again = await put(door, saved.json()["etag"], **one(1900, "escalation", "ttft_ms"))
        assert again.status_code == 200
        log = (await door.client.get("/hearth/audit", headers=ADMIN)).json()["data"]
        change = next(each["body"] for each in log if each["kind"] == "change")
        assert change["subject"] == "settings" and "+ttft_ms = 1900" in change["diff"] and change["caller"]


async def test_a_file_that_was_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """412 with both differences; without If-Match 428."""
    file = tmp_path / "hearth.toml"
    async with opened(setup(file), tmp_path) as door:
        tag = (await door.client.get("/hearth/settings", headers=ADMIN)).json()["etag"]
        theirs = TEXT.replace("# mine", "# theirs")
        file.write_text(theirs)
        answer = await put(door, tag, **one(1800, "escalation", "ttft_ms"))
        assert answer.status_code == 412 and file.read_text() == theirs
        found = answer.json()
        assert "+# theirs" in found["theirs"] and "+ttft_ms = 1800" in found["yours"]
        assert (await put(door, found["etag"], **one(1800, "escalation", "ttft_ms"))).status_code == 200
        assert (await put(door, "", **one(1, "escalation", "ttft_ms"))).status_code == 428


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (one(-1, "escalation", "ttft_ms"), 422, "invalid_settings"),
        (one("x", "escalation", "ttft_mss"), 422, "invalid_settings"),
        (one(["nobody"], "routes", "code"), 422, "invalid_settings"),
        (one(9000, "server", "port"), 403, "not_editable"),
        (one("http://x", "targets", "a", "base_url"), 403, "not_editable"),
        ({"unset": [["escalation", "release"]]}, 409, "cannot_splice"),
        ({"set": [{"key": ["escalation", "ttft_ms"]}]}, 400, "invalid_body"),
        ({"sett": []}, 400, "invalid_body"),
    ],
)
async def test_a_bad_change_is_never_written(tmp_path: Path, body: dict[str, Any], status: int, code: str) -> None:
    """The words are those of `hearth config check`."""
    file = tmp_path / "hearth.toml"
    async with opened(setup(file), tmp_path) as door:
        answer = await put(door, **body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert file.read_text() == TEXT and door.house.reloads == 0


async def test_a_value_of_the_environment_is_not_hidden_by_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """409 names the variable."""
    monkeypatch.setenv("HEARTH_ESCALATION__TTFT_MS", "700")
    async with opened(setup(tmp_path / "hearth.toml"), tmp_path) as door:
        answer = await put(door, **one(1800, "escalation", "ttft_ms"))
        assert answer.status_code == 409 and "HEARTH_ESCALATION__TTFT_MS" in answer.text


async def test_a_reload_that_is_refused_puts_the_file_back(tmp_path: Path) -> None:
    """422 with the reason."""
    file = tmp_path / "hearth.toml"
    async with opened(setup(file), tmp_path) as door:
        door.house.refuses = "the runtime cannot take this"
        answer = await put(door, **one(1800, "escalation", "ttft_ms"))
        assert answer.status_code == 422 and "cannot take this" in answer.text and file.read_text() == TEXT


async def test_where_the_file_cannot_be_written_the_difference_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read-only, and no file at all: 409, with what to copy."""
    file = tmp_path / "hearth.toml"
    monkeypatch.setattr("os.access", lambda *_: False)
    async with opened(setup(file), tmp_path) as door:
        assert (await door.client.get("/hearth/settings", headers=ADMIN)).json()["writable"] is False
        answer = await put(door, **one(1800, "escalation", "ttft_ms"))
        assert answer.status_code == 409 and "+ttft_ms = 1800" in answer.json()["diff"] and file.read_text() == TEXT
    async with opened(setup(None), tmp_path) as door:
        answer = await put(door, **one(1800, "escalation", "ttft_ms"))
        assert answer.status_code == 409 and "+ttft_ms = 1800" in answer.json()["diff"]


TWO = """\
[targets.far]
provider = "openai"
model = "gpt-x"
base_url = "http://127.0.0.1:1/v1"
"""


async def test_what_if_is_what_the_plan_gives_for_each_record(tmp_path: Path) -> None:
    """Every decision is planned again under the change, in order; those that would move are listed with their reasons."""
    file = tmp_path / "hearth.toml"
    async with opened(replace(setup(file, TWO), clouds=[cloud("far", Turn(told("y")))]), tmp_path) as door:
        for text in ("hi", "Prove that the square root of two is irrational, step by step.", "Write a parser in C."):
            await door.client.post("/v1/chat/completions", json=chat(text), headers=user())
        change = {"set": [{"key": ["escalation", "complexity"], "value": 0.0}]}
        answer = await door.client.post("/hearth/whatif", json={**change, "limit": 100}, headers=ADMIN)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        policy, box = door.house.box(door.house.read(f"{TWO}\n[escalation]\ncomplexity = 0.0\n").settings)
        moved = []
        for each in await door.desk.store.list(Query(100)):
            kept = msgspec.convert(each.kept, Kept)
            try:
                made = replayed(kept, policy, box)
            except Unanswerable:
                continue
            if made.candidates[0].target.label != kept.first:
                moved.append((each.id, made.candidates[0].target.label, str(made.reason)))
        assert moved and [(each["id"], each["after"], each["reason_after"]) for each in found["moved"]] == moved
        assert found["ways"] == [{"before": "local/small", "after": "openai/gpt-x", "count": len(moved)}]
        assert "+complexity = 0" in found["diff"] and file.read_text() == TWO
        bad = await door.client.post("/hearth/whatif", json={"limit": 0}, headers=ADMIN)
        assert bad.status_code == 400


def chat(text: str) -> dict[str, Any]:
    return {"model": "auto", "messages": [{"role": "user", "content": text}]}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"sec-fetch-site": "same-origin", "content-type": "application/json; charset=utf-8"}, 200),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/hearth/settings"), ("POST", "/hearth/whatif"), ("POST", "/hearth/keys")],
)
async def test_a_changing_route_takes_no_foreign_page_and_no_form(
    tmp_path: Path, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """With the right key: another origin, another site, or a body that a form could send."""
    body = b'{"name": "x"}' if path.endswith("keys") else b'{"dry": true}' if method == "PUT" else b"{}"
    made = replace(setup(tmp_path / "hearth.toml"), origins=("https://evil.example",))
    async with opened(made, tmp_path) as door:
        sent = ADMIN | {"content-type": "application/json"} | headers
        answer = await door.client.request(method, path, content=body, headers=sent)
        assert answer.status_code == status, answer.text


async def test_wrong_keys_are_counted_by_address(tmp_path: Path) -> None:
    """The eleventh within a minute is a 429 with the time to wait; a right key is taken all the same."""
    async with opened(setup(tmp_path / "hearth.toml"), tmp_path) as door:
        get = door.client.get
        seen = [(await get("/hearth/status", headers={"x-api-key": f"no{n}"})).status_code for n in range(12)]
        assert seen == [401] * 10 + [429] * 2
        last = await get("/hearth/status", headers={"x-api-key": "no"})
        assert 1 <= int(last.headers["retry-after"]) <= 60
        assert (await get("/hearth/status", headers=ADMIN)).status_code == 200
        assert (await get("/hearth/status")).status_code == 401  # no key is no wrong key


async def test_a_client_that_repeats_one_wrong_key_is_told_that_it_is_wrong(tmp_path: Path) -> None:
    """On `/v1` a 401 each time, which clients do not repeat; different keys are guesses."""
    async with opened(setup(tmp_path / "hearth.toml"), tmp_path) as door:
        for key, status in (("no", 401), *[(f"no{n}", 401) for n in range(9)], ("other", 429), ("no", 401)):
            seen = {(await door.client.get("/v1/models", headers={"x-api-key": key})).status_code for _ in range(3)}
            assert seen == {status}
