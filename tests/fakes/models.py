"""The owner of local models for tests of pages: its states are set, and its commands are written down."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace

from runtime.contract.adapters import AdapterView
from runtime.contract.models import ModelCommand, ModelState, ModelVerb, ModelView, UnknownModelNameError


class FakeModels:
    """A `runtime.contract.models.LocalModels`. refusal: what every command is answered with."""

    def __init__(self, *names: str) -> None:
        self.known = {name: ModelView(name, f"id-of-{name}", ModelState.READY, 0.0, "always") for name in names}
        self.commands: list[tuple[str, str, str]] = []
        self.refused = ""
        self.reasons: dict[str, str] = {}  # why waiting for a model is useless

    def command(self, verb: ModelVerb, name: str, to: str = "", *, dry: bool = False) -> ModelCommand:
        for each in (name, to) if to else (name,):
            self.view(each)
        if not self.refused and not dry:
            self.commands.append((verb, name, to))
        return ModelCommand(f"{verb} {name} {to}".rstrip(), self.refused)

    def become(self, name: str, state: ModelState, why: str = "") -> None:
        self.known[name] = replace(self.view(name), state=state, why=why)

    @contextlib.contextmanager
    def wanted(self, name: str) -> Iterator[None]:
        yield

    def missed(self, name: str) -> None: ...

    def used(self, name: str) -> None: ...

    def refusal(self, name: str) -> str:
        return self.reasons.get(name, "")

    async def changed(self) -> None:
        await asyncio.sleep(0.01)

    def view(self, name: str) -> ModelView:
        try:
            return self.known[name]
        except KeyError:
            raise UnknownModelNameError(name) from None

    def views(self) -> tuple[ModelView, ...]:
        return tuple(self.known.values())


class FakeAdapters:
    """A `runtime.contract.adapters.LocalAdapters` that takes everything. refused: what every command is answered with."""

    def __init__(self) -> None:
        self.known: dict[str, AdapterView] = {}
        self.refused = ""

    def views(self) -> tuple[AdapterView, ...]:
        return tuple(self.known.values())

    async def load(self, name: str, folder: str, target: str) -> str:
        if not self.refused:
            self.known[name] = AdapterView(name, target, folder, ready=True)
        return self.refused

    async def unload(self, name: str) -> str:
        return self.refused if self.known.pop(name, None) else f"no adapter is called {name}"


class OwnCommands:
    """Writes the exchanges of the engine's own model among the commands."""

    def __init__(self, models: FakeModels) -> None:
        self._models = models

    def command(self, to: str, *, dry: bool = False) -> ModelCommand:
        if not dry:
            self._models.commands.append(("swap", "local", to))
        return ModelCommand(f"swap local {to}", self._models.refused)
