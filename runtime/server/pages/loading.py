"""`POST /hearth/models/NAME/load|unload|swap`: local models beside the engine's own come and go on a running Hearth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, cast, get_args

import msgspec

from runtime.contract.models import LocalModels, ModelCommand, ModelVerb, UnknownModelNameError
from runtime.contract.targets import LOCAL
from runtime.life.desk import Desk
from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.server.pages.settings import SettingsPages, with_conflicts
from runtime.server.pages.wishes import body_as
from runtime.server.status import model_status
from runtime.settings.splice import KeyChange, SettingsChange
from runtime.trust.changes import AdminChange
from runtime.wire.api_error import ApiError, nothing_at

PATH = "/hearth/models/"
_MOST_BYTES = 10_000


class ModelWishes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """to: the model that takes the place, for a swap alone. dry: only the course of it is wanted, and nothing is done.

    save: the settings file gets the change too, so that it holds after a restart.
    """

    to: str = ""
    dry: bool = False
    save: bool = False


class OwnModel(Protocol):
    """The engine's own model, which a command exchanges for another."""

    def command(self, to: str, *, dry: bool = False) -> ModelCommand: ...


class LoadingPages:
    """models: the owner of them. own: exchanges the engine's own. note: gets every change. settings: the file of them."""

    def __init__(
        self,
        desk: Desk,
        models: LocalModels,
        own: OwnModel,
        note: Callable[[AdminChange], object],
        settings: SettingsPages,
    ) -> None:
        self._desk, self._models, self._own, self._note, self._settings = desk, models, own, note, settings

    def table(self) -> dict[tuple[str, str], Page]:
        return {("POST", PATH): with_conflicts(self.command)}

    async def command(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError 404 for an unknown name or verb; 409 where it cannot be done, with nothing stopped."""
        name, _, verb = request.path.removeprefix(PATH).rpartition("/")
        if verb not in get_args(ModelVerb):
            raise nothing_at(request.path)
        wish = await body_as(request, ModelWishes, _MOST_BYTES)
        if bool(wish.to) != (verb == "swap"):
            raise ApiError(400, 'a swap, and nothing else, names the model that comes: {"to": "NAME"}', "invalid_body")
        own = verb == "swap" and name in (LOCAL, self._desk.fleet.engine.model)
        command = (
            partial(self._own.command, wish.to)
            if own
            else partial(self._models.command, cast("ModelVerb", verb), name, wish.to)
        )
        try:
            made = command(dry=True)
            if wish.save and not wish.dry and not made.refusal:
                await self._settings.keep(request, self._kept(verb, name, wish.to, own=own))
            saved = own and wish.save  # the file's change is the command
            made = made if wish.dry or made.refusal or saved else command()
        except UnknownModelNameError as unknown:
            raise ApiError(404, f"there is no [models.{str(unknown)[:100]}]", "model_not_found") from None
        if made.refusal:
            raise ApiError(409, f"{made.refusal}; nothing was stopped", "model_not_loadable")
        if not wish.dry:
            self._note(AdminChange(self._desk.wall(), request.caller.id, "model", f"{verb} {name} {wish.to}".rstrip()))
        now = self._desk.clock()
        rows = [model_status(view, now) for view in self._models.views() if view.name in (name, wish.to)]
        shown = {"words": made.words, "dry": wish.dry, "models": msgspec.to_builtins(rows)}
        await request.answer_json(200, shown, extra)

    def _kept(self, verb: str, name: str, to: str, *, own: bool) -> SettingsChange:
        """The settings that have the same effect at the next start. own: of the engine's own model."""
        if own:
            return SettingsChange((KeyChange(("engine", "model"), to),))
        loads = {
            "load": {name: "always"},
            "unload": {name: "manual"},
            "swap": {name: "manual", to: self._models.view(name).load},
        }
        return SettingsChange(tuple(KeyChange(("models", each, "load"), load) for each, load in loads[verb].items()))
