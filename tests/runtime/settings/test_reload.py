"""New settings under way: what is taken at once, what waits, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.settings import Changes, Live, Settings, diff, load, watch
from tests.runtime.settings.readings import TARGET, settings


class Runtime:
    """A running Hearth as far as settings go: a file, what was applied, and what was said."""

    def __init__(
        self, folder: Path, text: str = "", *, env: dict[str, str] | None = None, default: bool = False
    ) -> None:
        self.file = folder / "hearth.toml"
        self.write(text)
        self.env = env or {}
        named = None if default else self.file
        self.applied: list[tuple[Settings, Changes]] = []
        self.said: list[str] = []
        self.applying: ValueError | None = None  # what putting settings in force comes to
        self.live = Live(load(named, self.env), lambda: load(named, self.env), self.apply, self.said.append)

    async def apply(self, settings: Settings, changes: Changes) -> None:
        if self.applying is not None:
            raise self.applying
        self.applied.append((settings, changes))

    def write(self, text: str) -> None:
        """As editors do: a new file in the old one's place."""
        draft = self.file.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(self.file)


def test_a_change_is_live_or_waits_for_a_restart() -> None:
    """Sockets and the engine are made once, but for its model and arguments; all else is read as requests come."""
    old = settings("[server]\nport = 1\n[escalation]\nqueue_depth = 1")
    new = settings(
        f"[server]\nport = 2\ndrain = 1\n[engine]\nmodel = 'x'\nreplicas = 2\n[escalation]\nqueue_depth = 2\n{TARGET}"
    )
    changes = diff(old, new)
    assert changes.restart == ("server.port", "engine.replicas")
    assert {"engine.model", "escalation.queue_depth", "server.drain", "targets.cloud.model"} <= set(changes.live)
    assert not diff(new, new)
    attached = settings("[engine]\nurl = 'http://127.0.0.1:9/v1'")
    assert diff(attached, settings("[engine]\nurl = 'http://127.0.0.1:9/v1'\nmodel = 'x'")).restart == ("engine.model",)


def test_a_secret_with_a_new_value_is_a_change_named_by_its_key() -> None:
    """Keys are rotated without a restart."""
    text = f'{TARGET}key = "env:K"'
    assert diff(settings(text, {"K": "a"}), settings(text, {"K": "b"})) == Changes(live=("targets.cloud.key",))


async def test_good_settings_are_applied_whole(tmp_path: Path) -> None:
    """What changed is in force when `reload` returns; what waits for a restart is as it was, and said."""
    runtime = Runtime(tmp_path)
    runtime.write("[escalation]\nmode = 'off'\n[server]\nport = 9000\n")
    assert await runtime.live.reload()
    ((applied, changes),) = runtime.applied
    assert applied is runtime.live.settings
    assert (applied.escalation.mode, applied.server.port) == ("off", 8000)
    assert changes == Changes(live=("escalation.mode",), restart=("server.port",))
    assert runtime.said == ["settings reloaded: escalation.mode", "in force after a restart: server.port"]


async def test_bad_settings_change_nothing_and_say_why(tmp_path: Path) -> None:
    """Every problem is told, and the next good file is taken."""
    runtime = Runtime(tmp_path, "[escalation]\nqueue_depth = 3")
    before = runtime.live.settings
    runtime.write("[escalation]\nqueue_dept = 4\nrelease = 2")
    assert not await runtime.live.reload()
    assert runtime.live.settings is before
    assert not runtime.applied
    assert "settings not reloaded, the old ones stay" in runtime.said[0]
    assert 'did you mean "queue_depth"?' in runtime.said[0]
    assert "escalation.release: must be 1 or less" in runtime.said[0]
    assert 'did you mean "queue_depth"?' in (runtime.live.refused or "")
    runtime.write("[escalation]\nqueue_depth = 4")
    assert await runtime.live.reload()
    assert runtime.live.settings.escalation.queue_depth == 4
    assert runtime.live.refused is None


async def test_settings_that_cannot_be_put_in_force_are_refused_too(tmp_path: Path) -> None:
    """Good in themselves, but what runs cannot take them: the old ones stay, and the watcher lives on."""
    runtime = Runtime(tmp_path, "[escalation]\nqueue_depth = 3")
    runtime.applying = ValueError("HEARTH_MODEL names no model of this box: 'gone'")
    runtime.write("[escalation]\nqueue_depth = 4")
    assert not await runtime.live.reload()
    assert runtime.live.settings.escalation.queue_depth == 3
    assert runtime.live.refused == "HEARTH_MODEL names no model of this box: 'gone'"


async def test_a_file_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    """An absent file is not an empty one."""
    runtime = Runtime(tmp_path, "[escalation]\nqueue_depth = 3")
    runtime.file.unlink()
    assert not await runtime.live.reload()
    assert runtime.live.settings.escalation.queue_depth == 3


OPEN = '[server]\nhost = "0.0.0.0"\nkeys = ["env:K"]\n'


@pytest.mark.parametrize(
    "new",
    [
        '[server]\nhost = "127.0.0.1"\n',
        '[server]\nsocket = "/run/hearth.sock"\n',
        "",
        "[escalation]\nqueue_depth = 3\n",
    ],
)
async def test_keys_stay_while_the_address_of_the_network_is_listened_on(tmp_path: Path, new: str) -> None:
    """A new address waits for a restart, so that keys removed at once would open the old one to everybody."""
    runtime = Runtime(tmp_path, env={"K": "secret"}, text=OPEN)
    runtime.write(new)
    assert not await runtime.live.reload()
    assert runtime.live.settings.server.keys
    assert not runtime.applied
    assert 'everybody reaches "0.0.0.0", which is listened on until a restart' in (runtime.live.refused or "")
    runtime.write(OPEN + "drain = 1")
    assert await runtime.live.reload()


@pytest.mark.parametrize("text", ['[server]\nhost = "0.0.0.0"\nadmin_keys = ["env:K"]\n', OPEN])
async def test_one_kind_of_key_may_replace_the_other(tmp_path: Path, text: str) -> None:
    """Either kind keeps strangers out, whatever address the new file names."""
    runtime = Runtime(tmp_path, env={"K": "secret"}, text=text)
    runtime.write('[server]\nadmin_keys = ["env:K"]\ndrain = 1')
    assert await runtime.live.reload()


async def test_a_socket_without_keys_stays_one_until_a_restart(tmp_path: Path) -> None:
    """The file's address of the network comes with keys; until the restart only local users come in."""
    runtime = Runtime(tmp_path, env={"K": "secret"}, text='[server]\nsocket = "/run/hearth.sock"\n')
    runtime.write(OPEN)
    assert await runtime.live.reload()
    assert runtime.live.settings.server.socket == "/run/hearth.sock"


@pytest.mark.parametrize("own", [None, "[escalation]\nqueue_depth = 9"])
async def test_a_default_file_that_vanishes_is_a_fault_and_still_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str | None
) -> None:
    """Neither the defaults nor the user's own file replace it, and its return is noticed."""
    monkeypatch.chdir(tmp_path)
    env = {"XDG_CONFIG_HOME": str(tmp_path / "home")}
    if own is not None:
        (tmp_path / "home/hearth").mkdir(parents=True)
        (tmp_path / "home/hearth/hearth.toml").write_text(own)
    runtime, ticks = Runtime(tmp_path, env=env, text="[escalation]\nqueue_depth = 3", default=True), Ticks()
    task = asyncio.create_task(watch(runtime.live, ticks.sleep))
    await ticks.step()
    runtime.file.rename(tmp_path / "away")
    for _ in range(3):
        await ticks.step()
    assert runtime.live.settings.escalation.queue_depth == 3
    assert "the file is gone" in (runtime.live.refused or "")
    runtime.write("[escalation]\nqueue_depth = 4")
    for _ in range(3):
        await ticks.step()
    assert (runtime.live.settings.escalation.queue_depth, runtime.live.refused) == (4, None)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_working_folder_that_is_gone_is_a_fault_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default file is looked for there; the old settings stay."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    runtime = Runtime(folder, text="[escalation]\nqueue_depth = 3", env={"HOME": str(tmp_path)}, default=True)
    runtime.file.unlink()
    folder.rmdir()
    assert not await runtime.live.reload()
    assert runtime.live.settings.escalation.queue_depth == 3
    assert runtime.live.refused
    monkeypatch.chdir(tmp_path)


async def test_the_same_settings_are_not_applied_again(tmp_path: Path) -> None:
    """A comment changes nothing."""
    runtime = Runtime(tmp_path, "# one")
    runtime.write("# two")
    assert await runtime.live.reload()
    assert not runtime.applied


async def test_warnings_are_told_at_each_reload(tmp_path: Path) -> None:
    """What `config check` would say."""
    runtime = Runtime(tmp_path)
    runtime.env["HEARTH_FOO"] = "x"
    runtime.write("[escalation]\nqueue_depth = 3")
    await runtime.live.reload()
    assert runtime.said[-1] == "warning: HEARTH_FOO: not a setting of Hearth; it is ignored"


class Ticks:
    """A sleep that lasts until the test lets it end. `step` runs one look of the watcher, whole."""

    def __init__(self) -> None:
        self.asleep = asyncio.Event()
        self.wake = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asleep.set()
        await self.wake.wait()
        self.wake.clear()

    async def step(self) -> None:
        await self.asleep.wait()
        self.asleep.clear()
        self.wake.set()
        await self.asleep.wait()


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[tuple[Runtime, Ticks]]:
    """A runtime whose file is watched, and the watcher's clock."""
    runtime, ticks = Runtime(tmp_path), Ticks()
    (tmp_path / "key").write_text("one")
    (tmp_path / "key").chmod(0o600)
    task = asyncio.create_task(watch(runtime.live, ticks.sleep))
    yield runtime, ticks
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


Watched = tuple[Runtime, Ticks]


async def test_a_changed_file_is_taken_once_it_is_settled(watched: Watched) -> None:
    """Not while it is still being written."""
    runtime, ticks = watched
    await ticks.step()
    assert not runtime.applied
    runtime.write("[escalation]\nqueue_depth = 3")
    await ticks.step()
    runtime.write("[escalation]\nqueue_depth = 4")
    await ticks.step()
    assert not runtime.applied
    await ticks.step()
    assert [applied.escalation.queue_depth for applied, _ in runtime.applied] == [4]
    await ticks.step()
    assert len(runtime.applied) == 1


async def test_a_bad_file_is_told_once_and_a_good_one_taken_after_it(watched: Watched) -> None:
    """The log is not filled with the same fault."""
    runtime, ticks = watched
    runtime.write("port = 1")
    for _ in range(4):
        await ticks.step()
    assert len(runtime.said) == 1
    runtime.write("[escalation]\nqueue_depth = 3")
    for _ in range(2):
        await ticks.step()
    assert runtime.live.settings.escalation.queue_depth == 3


async def test_a_rotated_secret_is_taken(watched: Watched) -> None:
    """The files secrets are kept in are watched like the settings."""
    runtime, ticks = watched
    runtime.write(f'{TARGET}key = "file:key"')
    for _ in range(2):
        await ticks.step()
    (runtime.file.parent / "key").write_text("two, longer".replace(", ", "-"))
    for _ in range(2):
        await ticks.step()
    key = runtime.live.settings.targets["cloud"].key
    assert key is not None
    assert key.reveal() == "two-longer"


async def test_a_link_that_is_turned_is_a_change(watched: Watched) -> None:
    """Clusters mount a file as a link into a folder that is swapped."""
    runtime, ticks = watched
    other = runtime.file.with_name("other.toml")
    other.write_text("[escalation]\nqueue_depth = 7")
    link = runtime.file.with_name("link")
    link.symlink_to(other)
    link.replace(runtime.file)
    for _ in range(2):
        await ticks.step()
    assert runtime.live.settings.escalation.queue_depth == 7
