"""Commands to local models over HTTP: what will happen is said first, and nothing is done where it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime.settings import load
from tests.fakes.door import Door, Setup, opened
from tests.fakes.upstream import Turn, engine_backend, whole

ADMIN = {"authorization": "Bearer root"}


async def commanded(door: Door, path: str, **body: Any) -> Any:
    answer = await door.client.post(f"/hearth/models/{path}", json=body, headers=ADMIN)
    return answer.json() | {"status": answer.status_code}


def setup() -> Setup:
    return Setup(engine_backend((Turn([whole("x")]),)), admins=("root",), keys=("guest",))


async def test_a_command_is_said_first_and_then_done(tmp_path: Path) -> None:
    """`dry` does nothing; what is done is in the audit log, and the answer has the states of the models it is about."""
    async with opened(setup(), tmp_path) as door:
        said = await commanded(door, "labels/swap", to="newer", dry=True)
        assert (said["status"], said["words"], said["dry"]) == (200, "swap labels newer", True)
        assert door.models.commands == []
        done = await commanded(door, "labels/swap", to="newer")
        assert [row["name"] for row in done["models"]] == ["local/labels", "local/newer"]
        assert [row["state"] for row in done["models"]] == ["ready", "ready"]
        await commanded(door, "labels/unload")
        await commanded(door, "labels/load")
        assert door.models.commands == [("swap", "labels", "newer"), ("unload", "labels", ""), ("load", "labels", "")]
        log = (await door.client.get("/hearth/audit", headers=ADMIN)).json()["data"]
        changes = [each["body"]["words"] for each in log if each["kind"] == "change"]
        assert changes == ["load labels", "unload labels", "swap labels newer"]


async def test_what_cannot_be_done_is_refused_in_words(tmp_path: Path) -> None:
    """404 for unknown names and verbs, 400 for a bad body, 409 for what does not fit, 403 without the scope."""
    async with opened(setup(), tmp_path) as door:
        assert (await commanded(door, "nobody/load"))["error"]["code"] == "model_not_found"
        assert (await commanded(door, "labels/swap", to="nobody"))["status"] == 404
        assert (await commanded(door, "labels/explode"))["status"] == 404
        assert (await commanded(door, "labels/swap"))["status"] == 400
        assert (await commanded(door, "labels/load", to="newer"))["status"] == 400
        assert (await commanded(door, "labels/load", now=True))["status"] == 400
        door.models.refused = "labels takes 50.0 GiB, and 30.0 GiB of GPU 0 are left beside big"
        refused = await commanded(door, "labels/load")
        assert refused["status"] == 409 and refused["error"]["message"].endswith("nothing was stopped")
        guest = await door.client.post("/hearth/models/labels/load", headers={"authorization": "Bearer guest"})
        assert guest.status_code == 403
        assert door.models.commands == []


async def test_a_saved_command_is_in_the_file(tmp_path: Path) -> None:
    """As the `load` of the models it is about, with the rest of the file as it was; `dry` writes nothing."""
    file = tmp_path / "hearth.toml"
    file.write_text(
        '# mine\n[models.labels]\nmodel = "a"\n\n[models.newer]\nmodel = "b"  # since May\nload = "manual"\n'
    )
    made = setup()
    made.settings_file = file
    async with opened(made, tmp_path) as door:
        before = file.read_text()
        await commanded(door, "labels/swap", to="newer", dry=True, save=True)
        assert file.read_text() == before
        assert (await commanded(door, "labels/swap", to="newer", save=True))["status"] == 200
        loads = {name: each.load for name, each in load(file, {}, ()).settings.models.items()}
        assert loads == {"labels": "manual", "newer": "always"}
        assert "# mine" in file.read_text() and "# since May" in file.read_text()
        assert door.models.commands == [("swap", "labels", "newer")]


async def test_what_cannot_be_saved_is_not_done(tmp_path: Path) -> None:
    """There is no settings file, and so no model of that name in it."""
    async with opened(setup(), tmp_path) as door:
        refused = await commanded(door, "labels/unload", save=True)
        assert refused["status"] == 422 and door.models.commands == []


async def test_the_engines_own_model_is_swapped_by_its_name(tmp_path: Path) -> None:
    """`local`, or its own; with `save` the file's change is the command."""
    file = tmp_path / "hearth.toml"
    file.write_text('[engine]\nmodel = "smollm2-135m"\n')
    made = setup()
    made.settings_file = file
    async with opened(made, tmp_path) as door:
        for name in ("local", door.engine.model):
            assert (await commanded(door, f"{name}/swap", to="llama-3.2-1b"))["status"] == 200
        assert door.models.commands == [("swap", "local", "llama-3.2-1b")] * 2
        assert (await commanded(door, "local/swap", to="llama-3.2-1b", save=True))["status"] == 200
        assert load(file, {}, ()).settings.engine.model == "llama-3.2-1b"
        assert len(door.models.commands) == 2
        assert (await commanded(door, "local/unload"))["status"] == 404
