"""Reload of the settings while the runtime runs: file watching, and the keys that wait for a restart.

A reading that fails changes nothing. New settings are judged as they would be in force: together with the keys that keep
their old values until a restart. Knows no signal (SIGHUP calls `reload`) and no clock (`watch` takes its sleep).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from runtime.settings.agree import lets_strangers_in
from runtime.settings.faults import Problem, SettingsError, dotted
from runtime.settings.model import Settings
from runtime.settings.places import Key
from runtime.settings.read import Loaded
from runtime.settings.shape import leaves

# The socket is bound, the engine started and the record opened once.
_SERVER_ONCE = ("host", "port", "socket", "max_connections", "max_head_kb", "head_timeout", "body_timeout")
_NEED_RESTART: tuple[Key, ...] = (
    *(("server", name) for name in _SERVER_ONCE),
    ("engine",),
    ("records",),
    ("telemetry",),
    ("fleet",),
    ("autoscale", "ray"),
    ("autoscale", "token"),
)


# Of an engine that Hearth starts: another model is fetched and takes the place of the old one, and adapters come and go.
_EXCHANGED: tuple[Key, ...] = (("engine", "model"), ("engine", "args"), ("engine", "adapters"))


@dataclass(frozen=True, slots=True)
class Changes:
    """Keys that differ, dotted: those in force at once, and those that wait for a restart."""

    live: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.live or self.restart)


def diff(old: Settings, new: Settings) -> Changes:
    """The keys that differ. A secret with a new value counts, and is named by its key alone."""
    before, after = dict(leaves(old)), dict(leaves(new))
    changed = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    exchanged = () if old.engine.url else _EXCHANGED
    waits = [
        key for key in changed if key[:2] not in exchanged and any(key[: len(each)] == each for each in _NEED_RESTART)
    ]
    return Changes(
        live=tuple(dotted(key) for key in changed if key not in waits), restart=tuple(dotted(key) for key in waits)
    )


def under_way(running: Settings, new: Settings) -> Settings:
    """`new`, with the keys that need a restart as they are in `running`."""
    server = new.server.model_copy(update={name: getattr(running.server, name) for name in _SERVER_ONCE})
    exchanged = {str(name): getattr(new.engine, str(name)) for _, name in _EXCHANGED}
    once = {
        "engine": running.engine if running.engine.url else running.engine.model_copy(update=exchanged),
        "records": running.records,
        "telemetry": running.telemetry,
        "fleet": running.fleet,
        "autoscale": new.autoscale.model_copy(update={"ray": running.autoscale.ray, "token": running.autoscale.token}),
    }
    return new.model_copy(update={"server": server, **once})


class Live:
    """The settings in force. One owner calls `reload`; everybody else gets them through `apply`.

    read: reads file and environment again; raises SettingsError.
    apply: puts new settings in force, whole, before it returns; if it raises ValueError, the old ones stay.
    notice: takes one line for the log. refused: the error of the last reading; None if it was applied.
    """

    def __init__(
        self,
        loaded: Loaded,
        read: Callable[[], Loaded],
        apply: Callable[[Settings, Changes], Awaitable[None]],
        notice: Callable[[str], None],
    ) -> None:
        self.loaded = loaded
        self.settings = loaded.settings
        self._read = read
        self._apply = apply
        self._notice = notice
        self._turn = asyncio.Lock()
        self.refused: str | None = None

    async def reload(self) -> bool:
        """Reads again and applies what changed. False where the new settings are bad: the old ones stay."""
        async with self._turn:
            try:
                await self._take(self._read())
            except (SettingsError, OSError, ValueError) as error:  # OSError: a folder on the way is gone or closed
                self.refused = str(error)
                self._notice(f"settings not reloaded, the old ones stay:\n{error}")
                return False
            self.refused = None
            return True

    async def _take(self, loaded: Loaded) -> None:
        file = self.loaded.file
        if loaded.file != file and file is not None and not file.exists():
            # Another default file, or none, was found instead: that is no change anybody has written.
            raise SettingsError([Problem(str(file), "", "the file is gone; put it back, or restart without it")])
        settings = under_way(self.settings, loaded.settings)
        server = settings.server
        keyed = server.keys or server.admin_keys or loaded.created_keys
        if lets_strangers_in(server.host, socket=server.socket, keyed=keyed):
            source = str(loaded.file or "the settings")
            words = (
                f'without a key, everybody reaches "{server.host}", which is listened on until a restart: restart first'
            )
            raise SettingsError([Problem(source, "server.keys", words)])
        changes = diff(self.settings, loaded.settings)
        if changes.live:
            await self._apply(settings, changes)
            self.settings = settings
            self._notice(f"settings reloaded: {', '.join(changes.live)}")
        self.loaded = loaded
        if not changes:
            self._notice("settings read again: nothing changed")
            return
        if changes.restart:
            self._notice(f"in force after a restart: {', '.join(changes.restart)}")
        for warning in loaded.warnings:
            self._notice(f"warning: {warning}")


async def watch(live: Live, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, period: float = 1.0) -> None:
    """Reloads whenever the file or a secret's file has changed, until cancelled. period: seconds between two looks.

    It polls instead of using inotify: that works on network and container mounts, and through renames and links. A
    change is applied once the files have been the same for a whole period, so that a half-written one is not read.
    """
    taken = seen = _marks(live.loaded)
    while True:
        await sleep(period)
        now = _marks(live.loaded)
        if now == seen and now != taken:
            await live.reload()
            now = taken = _marks(live.loaded)
        seen = now


Mark = tuple[Path, int, int, int] | tuple[Path]


def _marks(loaded: Loaded) -> list[Mark]:
    """A mark per file, which changes with its content: time in ns, size and inode; the path alone if there is no file."""
    marks: list[Mark] = []
    for path in (*((loaded.file,) if loaded.file else ()), *loaded.secret_files):
        try:
            state = path.stat()
        except OSError:
            marks.append((path,))
        else:
            marks.append((path, state.st_mtime_ns, state.st_size, state.st_ino))
    return marks
