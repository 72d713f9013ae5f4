"""LoRA adapters over HTTP: listed, loaded and unloaded by name, and saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime.settings import load
from tests.fakes.door import Door, Setup, opened
from tests.fakes.upstream import Turn, engine_backend, whole

ADMIN = {"authorization": "Bearer root"}


async def commanded(door: Door, path: str, **body: Any) -> Any:
    answer = await door.client.post(f"/hearth/adapters/{path}", json=body, headers=ADMIN)
    return answer.json() | {"status": answer.status_code}


def setup(file: Path | None = None) -> Setup:
    made = Setup(engine_backend((Turn([whole("x")]),)), admins=("root",), keys=("guest",))
    made.settings_file = file
    return made


async def test_adapters_are_loaded_listed_and_unloaded(tmp_path: Path) -> None:
    """Of the engine's model, or of another by its name; each change is in the audit log."""
    async with opened(setup(), tmp_path) as door:
        done = await commanded(door, "legal/load", folder="/srv/legal")
        assert done["data"] == [
            {"name": "legal", "target": "local", "folder": "/srv/legal", "ready": True, "cause": ""}
        ]
        assert (await commanded(door, "tax/load", folder="/srv/tax", model="labels"))["status"] == 200
        assert (await commanded(door, "vat/load", folder="/srv/vat", model="local/labels"))["status"] == 200
        listed = (await door.client.get("/hearth/adapters", headers={"authorization": "Bearer guest"})).json()["data"]
        assert [(row["name"], row["target"]) for row in listed] == [
            ("legal", "local"),
            ("tax", "local/labels"),
            ("vat", "local/labels"),
        ]
        assert (await commanded(door, "legal/unload"))["status"] == 200
        log = (await door.client.get("/hearth/audit", headers=ADMIN)).json()["data"]
        assert [each["body"]["words"] for each in log if each["kind"] == "change"][:1] == ["unload legal"]


async def test_what_cannot_be_loaded_is_refused_in_words(tmp_path: Path) -> None:
    """409 with the engine's words, 404 for unknown verbs, 400 for a bad body, 403 without the scope."""
    async with opened(setup(), tmp_path) as door:
        assert (await commanded(door, "legal/explode"))["status"] == 404
        assert (await commanded(door, "legal/load"))["status"] == 400
        assert (await commanded(door, "legal/unload", folder="/x"))["status"] == 400
        assert (await commanded(door, "legal/unload"))["status"] == 409
        door.adapters.refused = "its rank is 64"
        refused = await commanded(door, "legal/load", folder="/srv/legal")
        assert (refused["status"], refused["error"]["message"]) == (409, "its rank is 64")
        guest = await door.client.post(
            "/hearth/adapters/legal/load", json={"folder": "/x"}, headers={"authorization": "Bearer guest"}
        )
        assert guest.status_code == 403


async def test_a_saved_adapter_is_in_the_file(tmp_path: Path) -> None:
    """Under its model's table; unloaded, it is out of it again."""
    file = tmp_path / "hearth.toml"
    file.write_text('# mine\n[models.labels]\nmodel = "a"\n')
    async with opened(setup(file), tmp_path) as door:
        assert (await commanded(door, "tax/load", folder="/srv/tax", model="labels", save=True))["status"] == 200
        assert (await commanded(door, "legal/load", folder="/srv/legal", save=True))["status"] == 200
        found = load(file, {}, ()).settings
        assert (found.models["labels"].adapters, found.engine.adapters) == (
            {"tax": "/srv/tax"},
            {"legal": "/srv/legal"},
        )
        assert (await commanded(door, "tax/unload", save=True))["status"] == 200
        assert load(file, {}, ()).settings.models["labels"].adapters == {}
        assert "# mine" in file.read_text()
