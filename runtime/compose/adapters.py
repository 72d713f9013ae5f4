"""LoRA adapters by name over all engines of the box: loaded and unloaded by command, and as the settings change."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from local_models.engine import LocalEngine
from runtime.contract.adapters import AdapterView
from runtime.contract.targets import LOCAL
from runtime.routing.plan.names import Directory, Unknown, resolve
from runtime.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def absolute(folder: str) -> str:
    """A folder as the settings name it, for a process in any folder."""
    return str(Path(folder).expanduser().absolute())


def adapters_of(settings: Settings) -> dict[str, tuple[str, str]]:
    """The adapters of the settings: the target of each, "local" or local/NAME, and its folder as an engine finds it."""
    tables = {LOCAL: settings.engine.adapters}
    tables |= {f"{LOCAL}/{name}": each.adapters for name, each in settings.models.items()}
    return {name: (target, absolute(folder)) for target, named in tables.items() for name, folder in named.items()}


class AdapterRoom:
    """A `runtime.contract.adapters.LocalAdapters`. engines: those of the box now, by target. named: the names that are taken.

    changed: called when a name has come or gone. trouble: the adapters of the settings that could not be loaded, in words.
    """

    def __init__(self, settings: Settings, engines: Callable[[], Mapping[str, LocalEngine]]) -> None:
        self._engines, self._settled, self._wanted = engines, settings, settings
        self._asked, self._turn = asyncio.Event(), asyncio.Lock()
        self.named: Callable[[], Directory] = Directory
        self.changed: Callable[[], None] = lambda: None
        self.trouble: str | None = None

    def targets(self) -> dict[str, str]:
        """The target of each adapter that is wanted, by its name."""
        return {name: target for target, engine in self._engines().items() for name in engine.adapters.wanted}

    def views(self) -> tuple[AdapterView, ...]:
        """Those that Hearth loaded, and those that servers of somebody else list."""
        found = []
        for target, engine in self._engines().items():
            wanted, up = engine.adapters.wanted, [view for view in engine.views() if view.ready]
            for name in dict.fromkeys([*wanted, *(name for view in up for name in view.adapters)]):
                ready = bool(up) and all(name in view.adapters for view in up)
                found.append(AdapterView(name, target, wanted.get(name, ""), ready, engine.adapters.faults(name)))
        return tuple(found)

    async def load(self, name: str, folder: str, target: str) -> str:
        engine = self._engines().get(target)
        if engine is None:
            return f"{target} is no local model"
        if not _NAME.fullmatch(name):
            return 'an adapter\'s name is letters, digits, ".", "_" and "-" only'
        async with self._turn:
            own = self.targets().get(name) == target  # then its engine says so
            if not own and not isinstance(resolve(name, self.named()), Unknown):
                return f'"{name}" is the name of another model'
            cause = await engine.adapters.load(name, absolute(folder))
        if not cause:
            self.changed()
        return cause

    async def unload(self, name: str) -> str:
        engine = self._engines().get(self.targets().get(name, ""))
        if engine is None:
            return f"no adapter that was loaded here is called {name}"
        cause = await engine.adapters.unload(name)
        self.changed()
        return cause

    def want(self, settings: Settings) -> None:
        """Takes the adapters of changed settings over: `run` loads and unloads them."""
        self._wanted = settings
        self._asked.set()

    async def run(self) -> None:
        """One change of the settings after another, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            before, after = adapters_of(self._settled), adapters_of(self._wanted)
            self._settled, causes = self._wanted, []
            for name in before.keys() - {name for name, each in after.items() if before.get(name) == each}:
                await self.unload(name)  # one that a command unloaded is gone already
            for name, (target, folder) in after.items():
                engine = self._engines().get(target)
                there = engine is not None and engine.adapters.wanted.get(name) == folder  # it started with it
                if before.get(name) == (target, folder) or there:
                    continue
                if cause := await self.load(name, folder, target):
                    causes.append(f"adapter {name} is not loaded: {cause}")
            self.trouble = "; ".join(causes) or None
