"""`/v1/files`: input files of batches, and the answers and errors that came of them. A caller sees its own files only."""

from __future__ import annotations

import secrets
from functools import partial
from typing import BinaryIO
from urllib.parse import parse_qs

from runtime.batch.database import BatchDatabase
from runtime.batch.shapes import file_object
from runtime.batch.store import BatchStore
from runtime.batch.values import StoredFile
from runtime.contract.owner_ids import owned
from runtime.life.desk import Desk
from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.server.forwarding import reads
from runtime.server.pages.listed import listed
from runtime.server.pages.requires import requires_of
from runtime.server.upload import Upload
from runtime.settings import BatchSettings
from runtime.wire.api_error import ApiError

PATH = "/v1/files"
_CONTENT = "/content"
_PIECE = 1 << 20
_MOST_LISTED = 10_000


class FilePages:
    """Files belong to the id of the caller. `settings` changes with the settings, between two requests."""

    def __init__(self, desk: Desk, store: BatchStore, settings: BatchSettings) -> None:
        self.settings = settings
        self._desk, self._store = desk, store

    def table(self) -> dict[tuple[str, str], Page]:
        below = f"{PATH}/"
        return {
            ("POST", PATH): self.upload,
            ("GET", PATH): self.every,
            ("GET", below): self.one,
            ("DELETE", below): self.delete,
        }

    async def upload(self, request: ClientRequest, extra: Pairs) -> None:
        """Keeps a file; a failed upload leaves nothing. Raises ApiError."""
        requires = requires_of(request)
        upload = Upload(request.headers.get("content-type", ""))
        id = owned(f"file-{secrets.token_hex(12)}", self._desk.ids.owner)
        out = await self._store.call(partial(_begin, id))
        size, kept, waiting = 0, False, bytearray()
        try:
            async for piece in request.pieces(self.settings.max_file_mb * 1_000_000 + 65_536):
                waiting += upload.feed(piece)
                if len(waiting) >= _PIECE:
                    size, data, waiting = size + len(waiting), bytes(waiting), bytearray()
                    await self._store.call(partial(_write, out, data))
            filename, purpose = upload.finish(), upload.fields.get("purpose")
            if purpose != "batch":
                words = "purpose must be 'batch': files of other kinds are not kept here"
                raise ApiError(400, words, "invalid_purpose", "purpose")
            now = int(self._desk.wall())
            until = now + min(_seconds(upload), self.settings.keep_days * 86_400)
            size += len(waiting)
            file = StoredFile(id, request.caller.id, purpose, filename, size, now, until, requires)
            await self._store.call(partial(_keep, out, bytes(waiting), file))
            kept = True
        finally:
            if not kept:
                await self._store.call(partial(_forget, out, id))
        await request.answer_json(200, file_object(file), extra)

    async def every(self, request: ClientRequest, extra: Pairs) -> None:
        owner, wanted = request.caller.id, parse_qs(request.query).get("purpose", [""])[-1]
        files = await self._store.call(lambda database: database.files(owner))
        now = self._desk.wall()
        shown = [file_object(file) for file in files if file.expires_at > now and wanted in ("", file.purpose)]
        await request.answer_json(200, listed(shown, request.query, _MOST_LISTED, _MOST_LISTED), extra)

    async def one(self, request: ClientRequest, extra: Pairs) -> None:
        """The file, or its content. Raises ApiError 404."""
        name = request.path.removeprefix(f"{PATH}/")
        file = await self._file(name.removesuffix(_CONTENT), request)
        if not name.endswith(_CONTENT):
            await request.answer_json(200, file_object(file), extra)
            return
        reads(request, frozenset(file.requires))
        source = await self._store.call(partial(_read, file))
        if source is None:
            raise ApiError(404, f"the content of {file.id} is gone", "file_not_found", "file_id")
        try:
            length = (b"content-length", str(file.size).encode())
            await request.start(200, [*extra, (b"content-type", b"application/octet-stream"), length])
            left = file.size if request.method != "HEAD" else 0
            while left and (piece := await self._store.call(lambda _: source.read(_PIECE))):
                left -= len(piece)
                await request.send({"type": "http.response.body", "body": piece, "more_body": True})
            await request.send({"type": "http.response.body", "body": b""})
        finally:
            source.close()

    async def delete(self, request: ClientRequest, extra: Pairs) -> None:
        file = await self._file(request.path.removeprefix(f"{PATH}/"), request)
        await self._store.call(lambda database: database.drop_file(file.id))
        await request.answer_json(200, {"id": file.id, "object": "file", "deleted": True}, extra)

    async def _file(self, id: str, request: ClientRequest) -> StoredFile:
        found = await self._store.call(lambda database: database.file(id, request.caller.id))
        if found is None or found.expires_at <= self._desk.wall():
            raise ApiError(404, f"no file {id[:100]!r} is kept", "file_not_found", "file_id")
        return found


def _seconds(upload: Upload) -> int:
    """The seconds after which the client itself wants the file gone. Raises ApiError 400."""
    wanted = upload.fields.get("expires_after[seconds]", "")
    if not wanted:
        return 1 << 40
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 12):
        words = "expires_after[seconds] must be a number of seconds, as 86400"
        raise ApiError(400, words, "invalid", "expires_after[seconds]")
    return int(wanted)


def _begin(id: str, database: BatchDatabase) -> BinaryIO:
    return (database.contents / f"{id}.part").open("wb")


def _write(out: BinaryIO, data: bytes, _: BatchDatabase) -> None:
    out.write(data)


def _keep(out: BinaryIO, last: bytes, file: StoredFile, database: BatchDatabase) -> None:
    database.keep_content(out, last, file)


def _forget(out: BinaryIO, id: str, database: BatchDatabase) -> None:
    out.close()
    (database.contents / f"{id}.part").unlink(missing_ok=True)


def _read(file: StoredFile, database: BatchDatabase) -> BinaryIO | None:
    try:
        return (database.contents / file.id).open("rb")
    except FileNotFoundError:
        return None
