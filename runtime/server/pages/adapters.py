"""`/hearth/adapters`: the LoRA adapters of the box's models, listed, and loaded and unloaded by name."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from runtime.contract.adapters import LocalAdapters
from runtime.contract.targets import LOCAL
from runtime.life.desk import Desk
from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.server.pages.settings import SettingsPages, with_conflicts
from runtime.server.pages.wishes import body_as
from runtime.settings.splice import KeyChange, PartKey, SettingsChange
from runtime.trust.changes import AdminChange
from runtime.wire.api_error import ApiError, nothing_at

PATH = "/hearth/adapters"
_MOST_BYTES = 10_000


class AdapterWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """folder: its files, on the runtime's machine. model: `local`, or NAME of a [models.NAME]. save: into the settings file."""

    folder: str = ""
    model: str = LOCAL
    save: bool = False


class AdapterPages:
    """adapters: their owner. note: gets every change. settings: the file of them."""

    def __init__(
        self, desk: Desk, adapters: LocalAdapters, note: Callable[[AdminChange], object], settings: SettingsPages
    ) -> None:
        self._desk, self._adapters, self._note, self._settings = desk, adapters, note, settings

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", PATH): self.every, ("POST", f"{PATH}/"): with_conflicts(self.command)}

    async def every(self, request: ClientRequest, extra: Pairs) -> None:
        await request.answer_json(200, {"data": msgspec.to_builtins(self._adapters.views())}, extra)

    async def command(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError 404 for an unknown verb; 409 where it cannot be done, in the engine's words."""
        name, _, verb = request.path.removeprefix(f"{PATH}/").rpartition("/")
        if verb not in ("load", "unload") or not name:
            raise nothing_at(request.path)
        wish = await body_as(request, AdapterWish, _MOST_BYTES)
        if bool(wish.folder) != (verb == "load"):
            raise ApiError(400, 'a load, and nothing else, names the folder: {"folder": "PATH"}', "invalid_body")
        known = {each.name: each for each in self._adapters.views()}
        target = LOCAL if wish.model == LOCAL else f"{LOCAL}/{wish.model.removeprefix(f'{LOCAL}/')}"
        if verb == "load":
            refused = await self._adapters.load(name, wish.folder, target)
        else:
            target = known[name].target if name in known else target
            refused = await self._adapters.unload(name)
        if refused:
            raise ApiError(409, refused, "adapter_not_loadable")
        if wish.save:
            table = ("engine",) if target == LOCAL else ("models", target.removeprefix(f"{LOCAL}/"))
            key: PartKey = (*table, "adapters", name)
            change = SettingsChange((KeyChange(key, wish.folder),)) if verb == "load" else SettingsChange((), (key,))
            await self._settings.keep(request, change)
        self._note(AdminChange(self._desk.wall(), request.caller.id, "adapter", f"{verb} {name}"))
        await self.every(request, extra)
