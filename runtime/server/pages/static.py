"""The dashboard's files: `/` and `/ui/NAME`. They hold no data and need no key; what they ask for does.

Read once at start and packed in memory. Every file carries the policy that lets a page run this server's own scripts and
nothing else, so that no text of a model or an upstream can ever become markup.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from importlib import resources
from typing import NamedTuple

from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.wire.api_error import ApiError

BELOW = "/ui/"
_INDEX = "index.html"
_KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css", "txt": "text/plain", "svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_GUARDED = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
    (b"vary", b"accept-encoding"),
)


class Asset(NamedTuple):
    """One file, plain and packed. etag: of its content."""

    kind: bytes
    plain: bytes
    packed: bytes
    etag: str


def assets() -> dict[str, Asset]:
    """Every file of the dashboard, by its path below the folder."""
    folder = resources.files("runtime.server.pages") / "dashboard"
    found = {}
    for name, body in _files(folder, ""):
        kind = f"{_KINDS[name.rpartition('.')[2]]}; charset=utf-8".encode()
        tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
        found[name] = Asset(kind, body, gzip.compress(body, 9, mtime=0), tag)
    return found


def _files(folder: resources.abc.Traversable, above: str) -> Iterator[tuple[str, bytes]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _files(each, f"{above}{each.name}/")
        elif each.name.rpartition(".")[2] in _KINDS:
            yield f"{above}{each.name}", each.read_bytes()


class DashboardPages:
    """The dashboard, as it was when the process began."""

    def __init__(self) -> None:
        self._assets = assets()

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", "/"): self.index, ("GET", BELOW): self.file}

    async def index(self, request: ClientRequest, extra: Pairs) -> None:
        """The page. Shown below a prefix without a slash at its end, it sends the browser there: its links are relative."""
        path: str = request.scope["path"]
        if not path.endswith("/"):
            await request.answer(308, b"", (*extra, (b"location", f"{path.rpartition('/')[2]}/".encode())))
            return
        await self._answer(request, extra, _INDEX)

    async def file(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError 404 for a name that is none of them."""
        await self._answer(request, extra, request.path.removeprefix(BELOW))

    async def _answer(self, request: ClientRequest, extra: Pairs, name: str) -> None:
        found = self._assets.get(name)
        if found is None:
            raise ApiError(404, f"the dashboard has no file {name[:100]!r}", "not_found")
        headers = [*extra, *_GUARDED, (b"content-type", found.kind), (b"etag", found.etag.encode())]
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if found.etag in known:
            await request.start(304, headers)
            await request.send({"type": "http.response.body", "body": b""})
            return
        packed = "gzip" in request.headers.get("accept-encoding", "").lower()
        if packed:
            headers.append((b"content-encoding", b"gzip"))
        await request.answer(200, found.packed if packed else found.plain, headers)
