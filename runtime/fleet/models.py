"""The local models beside the engine's own as targets `local/NAME`, each with an engine and lanes of its own."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.contract.backend import Backend
from runtime.contract.engine import Engine
from runtime.contract.models import LocalModels, ModelState, ModelView


@dataclass(frozen=True, slots=True)
class LocalModelTarget:
    """One of them. name: NAME of `local/NAME`. house: the owner of all of them."""

    name: str
    engine: Engine
    backend: Backend
    house: LocalModels

    @property
    def why_not(self) -> str:
        """Why waiting for it is useless; "" where it is ready, or will be."""
        return self.house.refusal(self.name)

    def words(self, view: ModelView) -> str:
        """Its state, for people."""
        if view.state is ModelState.ABSENT and not view.cause:
            return f"local/{self.name} is not loaded" + (f": {view.why}" if view.why else "")
        cause = view.why or view.cause
        return f"local/{self.name} is {view.state}" + (f": {cause}" if cause else "")
