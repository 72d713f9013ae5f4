"""`/hearth/settings` and `/hearth/whatif`: the settings with their origins, changes to the file, and what they would do.

The file is the truth: a change is spliced into it, checked as `hearth config check` does, written, and reloaded. Where it
cannot be written, the difference is shown to be copied. Nothing is written that did not pass the check.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import os
import tempfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from runtime.life.desk import Desk
from runtime.life.planning import IdleFleet
from runtime.quality.replay import report
from runtime.record.database import Query
from runtime.routing.plan.plan import RoutingPolicy
from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.server.pages.wishes import body_as
from runtime.settings.editable import refused, rows
from runtime.settings.faults import SettingsError, dotted
from runtime.settings.model import Settings
from runtime.settings.read import Loaded
from runtime.settings.splice import CannotSplice, SettingsChange, edited
from runtime.trust.changes import AdminChange
from runtime.wire.api_error import ApiError

PATH, WHAT_IF = "/hearth/settings", "/hearth/whatif"
_MOST_BYTES = 1_000_000
_REMEMBERED = 8  # texts of the file, for the difference after a race
_MOST_DECISIONS = 10_000
_MOST_MOVED = 500  # in an answer


class SettingsHouse(Protocol):
    """The settings of the process. refusal: why the last reload was refused."""

    @property
    def loaded(self) -> Loaded: ...

    @property
    def refusal(self) -> str | None: ...

    def read(self, text: str) -> Loaded:
        """The settings that a text of the file would be. Raises SettingsError."""
        ...

    async def reload(self) -> bool: ...

    def box(self, settings: Settings) -> tuple[RoutingPolicy, IdleFleet]:
        """The policy and the targets that replayed decisions are made with under these settings."""
        ...


class SettingsEdit(SettingsChange, frozen=True, forbid_unknown_fields=True):
    """dry: only the difference is wanted."""

    dry: bool = False


class WhatIf(SettingsChange, frozen=True, forbid_unknown_fields=True):
    """limit: the latest so many decisions."""

    limit: int = 1000


class Conflict(Exception):
    """An answer that is no success and holds more than an error: a status, the error, and members beside it."""

    def __init__(self, status: int, code: str, message: str, **beside: Any) -> None:
        super().__init__(message)
        error = {"message": message, "type": "invalid_request_error", "code": code, "param": None}
        self.status, self.body = status, {"error": error, **beside}


class _Draft(NamedTuple):
    """file: None without one. old, new: its text, and the text with the change."""

    file: Path | None
    old: str
    new: str

    @property
    def diff(self) -> str:
        return difference(self.old, self.new, self.file.name if self.file else "hearth.toml")


class SettingsPages:
    """note: gets every change."""

    def __init__(self, desk: Desk, house: SettingsHouse, note: Callable[[AdminChange], object]) -> None:
        self._desk, self._house, self._note = desk, house, note
        self._known: OrderedDict[str, str] = OrderedDict()  # texts of the file that were shown, by tag
        self._turn = asyncio.Lock()

    def table(self) -> dict[tuple[str, str], Page]:
        return {
            ("GET", PATH): self.show,
            ("PUT", PATH): with_conflicts(self.change),
            ("POST", WHAT_IF): with_conflicts(self.what_if),
        }

    async def show(self, request: ClientRequest, extra: Pairs) -> None:
        loaded = self._house.loaded
        file, text = loaded.file, await self._text()
        shown = {
            "file": str(file) if file else None,
            "etag": self._remembered(text),
            "writable": file is not None and await asyncio.to_thread(_writable, file),
            "refused": self._house.refusal,
            "warnings": loaded.warnings,
            "values": rows(loaded),
        }
        tag = (b"etag", f'"{shown["etag"]}"'.encode())
        await request.answer_json(200, shown, (*extra, tag))

    async def change(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError and Conflict; in either case the file is as it was."""
        wanted = await body_as(request, SettingsEdit, _MOST_BYTES)
        async with self._turn:
            draft = await self._draft(wanted)
            asked_for = request.headers.get("if-match", "").strip().removeprefix("W/").strip('"')
            if asked_for not in ("", "*", tag_of(draft.old)):
                before = self._known.get(asked_for)
                raise Conflict(
                    412,
                    "file_changed",
                    "the file was changed meanwhile: look at both differences, and save again",
                    etag=self._remembered(draft.old),
                    theirs=None if before is None else difference(before, draft.old),
                    yours=draft.diff,
                )
            if wanted.dry:
                await request.answer_json(200, {"diff": draft.diff, "etag": tag_of(draft.old)}, extra)
                return
            if not asked_for:
                raise ApiError(
                    428, "send If-Match with the etag of the settings you looked at", "precondition_required"
                )
            await self._save(request, draft)
        shown = {"diff": draft.diff, "etag": self._remembered(draft.new), "in_force_since": self._desk.wall()}
        await request.answer_json(200, shown, extra)

    async def what_if(self, request: ClientRequest, extra: Pairs) -> None:
        """The latest decisions made again under the change. Raises ApiError and Conflict."""
        wanted = await body_as(request, WhatIf, _MOST_BYTES)
        if not 1 <= wanted.limit <= _MOST_DECISIONS:
            raise ApiError(400, f"limit must be from 1 to {_MOST_DECISIONS}", "invalid_parameter", "limit")
        draft = await self._draft(wanted)
        policy, box = self._house.box(self._house.read(draft.new).settings)
        decisions = await self._desk.store.list(Query(wanted.limit))
        async with self._turn:  # one at a time: it is the processor's work
            found = await asyncio.to_thread(report, decisions, policy, box)
        ways = Counter((each.before, each.after) for each in found.moved)
        shown = msgspec.structs.asdict(found) | {
            "moved": found.moved[:_MOST_MOVED],
            "moved_count": len(found.moved),
            "ways": [{"before": a, "after": b, "count": n} for (a, b), n in ways.most_common()],
            "diff": draft.diff,
        }
        await request.answer_json(200, shown, extra)

    async def keep(self, request: ClientRequest, wanted: SettingsChange) -> None:
        """Writes what a command has put in force into the file, also of keys that are not editable here.

        Raises ApiError and Conflict.
        """
        async with self._turn:
            await self._save(request, await self._draft(wanted, owners=True))

    async def _draft(self, wanted: SettingsChange, *, owners: bool = False) -> _Draft:
        """The file with the change in it, checked. owners: keys that only the file's owner changes too.

        Raises ApiError and Conflict.
        """
        sources = self._house.loaded.sources
        values = {each.key: each.value for each in wanted.set}
        for key in wanted.keys:
            if not owners and (why := refused(key, values.get(key))):
                raise ApiError(403, f"{dotted(key)} cannot be changed here: {why}", "not_editable", dotted(key))
            length = len(key)
            around = [name for at, name in sources.items() if at[:length] == key or key[: len(at)] == at]
            variable = next((name for name in around if name.startswith("HEARTH_")), "")
            if variable:
                words = f"{dotted(key)} is set by {variable}, which goes before the file: change it there"
                raise ApiError(409, words, "set_by_environment", dotted(key))
        file, text = self._house.loaded.file, await self._text()
        try:
            draft = _Draft(file, text, edited(text, wanted))
            self._house.read(draft.new)
        except CannotSplice as error:
            raise ApiError(409, str(error), "cannot_splice") from error
        except SettingsError as error:
            problems = [{"key": each.key, "line": each.line, "message": each.message} for each in error.problems]
            raise Conflict(422, "invalid_settings", str(error), problems=problems) from error
        except ValueError as error:
            raise ApiError(409, f"{file} is no TOML any more: {error}", "cannot_splice") from error
        return draft

    async def _save(self, request: ClientRequest, draft: _Draft) -> None:
        """Writes and reloads; a refused reload puts the old text back. Raises Conflict."""
        file = draft.file
        if file is None:
            words = "there is no settings file: put this into hearth.toml, and start with it"
            raise Conflict(409, "no_settings_file", words, diff=draft.diff)
        if not draft.diff:
            return
        try:
            await asyncio.to_thread(write, file, draft.new)
        except OSError as error:
            words = f"{file} cannot be written ({error.strerror}): copy the difference into it"
            raise Conflict(409, "settings_read_only", words, diff=draft.diff) from error
        if not await self._house.reload():
            why = self._house.refusal or "the reload was refused"
            await asyncio.to_thread(write, file, draft.old)
            await self._house.reload()
            raise Conflict(422, "reload_refused", f"{why}\nthe file was put back", diff=draft.diff)
        made = AdminChange(self._desk.wall(), request.caller.id, "settings", f"{file.name} was changed", draft.diff)
        self._note(made)

    async def _text(self) -> str:
        file = self._house.loaded.file
        if file is None:
            return ""
        try:
            return await asyncio.to_thread(_contents, file)
        except (OSError, UnicodeDecodeError) as error:
            raise ApiError(409, f"{file} cannot be read: {error}", "settings_unreadable") from error

    def _remembered(self, text: str) -> str:
        """The tag of a text that is shown now."""
        tag = tag_of(text)
        self._known[tag] = text
        self._known.move_to_end(tag)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return tag


def tag_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def difference(old: str, new: str, name: str = "hearth.toml") -> str:
    """The unified difference of two texts of the file."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), name, name, lineterm="")
    return "".join(f"{line}\n" for line in lines)


def write(file: Path, text: str) -> None:
    """The whole text or nothing of it, with the file's own mode; in place where its folder takes no new file.

    Raises OSError.
    """
    real = file.resolve()
    if not os.access(real, os.W_OK):
        raise PermissionError(13, "permission denied", str(file))
    try:
        handle, draft = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
    except OSError:
        real.write_text(text, encoding="utf-8", newline="")
        return
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as made:
            made.write(text)
            made.flush()
            os.fsync(made.fileno())
        state = real.stat()
        Path(draft).chmod(state.st_mode & 0o7777)
        if os.geteuid() == 0:
            os.chown(draft, state.st_uid, state.st_gid)
        Path(draft).replace(real)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        real.write_text(text, encoding="utf-8", newline="")  # a file that is mounted by itself cannot be replaced


def _contents(file: Path) -> str:
    with file.open(encoding="utf-8", newline="") as opened:
        return opened.read()


def _writable(file: Path) -> bool:
    return os.access(file.resolve(), os.W_OK)


def with_conflicts(page: Page) -> Page:
    """The page, with a Conflict as its answer."""

    async def answered(request: ClientRequest, extra: Pairs) -> None:
        try:
            await page(request, extra)
        except Conflict as conflict:
            await request.answer_json(conflict.status, conflict.body, extra)

    return answered
