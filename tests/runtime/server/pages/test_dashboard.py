"""The dashboard's files: open to everybody, under a strict policy, small, and what their lock builds."""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
from pathlib import Path

import pytest

from runtime.server.access_policy import AccessPolicy
from runtime.server.app import App
from runtime.server.pages.static import DashboardPages, assets
from runtime.trust.keys import Keys
from scripts import ui_types, ui_vendor
from tests.fakes.bare_app import asked, bare_app

POLICY = {
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
    "trusted-types 'none'",
}  # fmt: skip


def app(prefix: str = "") -> App:
    return bare_app(AccessPolicy(Keys(["k"]), prefix=prefix), DashboardPages().table())


@pytest.mark.parametrize("path", ["/", "/ui/app.js", "/ui/pages/overview.js", "/ui/vendor.js", "/ui/app.css"])
async def test_every_file_is_open_and_guarded(path: str) -> None:
    """Without a key, with the policy and the headers beside it; packed for who takes it; known ones are not sent again."""
    plain = await asked(app(), "GET", path)
    assert plain.status == 200 and set((plain.header("content-security-policy") or "").split("; ")) == POLICY
    for name, value in {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-cache",
    }.items():
        assert plain.header(name) == value
    packed = await asked(app(), "GET", path, [("accept-encoding", "br, gzip")])
    assert packed.header("content-encoding") == "gzip" and gzip.decompress(packed.body) == plain.body
    again = await asked(app(), "GET", path, [("if-none-match", f'"other", W/{plain.header("etag")}')])
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("path", ["/ui/", "/ui/nothing.js", "/ui/../static.py", "/ui/vendor.d.ts", "/ui/%2e%2e/x"])
async def test_nothing_else_is_served(path: str) -> None:
    """Only the files that were read at the start."""
    assert (await asked(app(), "GET", path)).status == 404


async def test_below_a_prefix_the_page_is_a_folder() -> None:
    """Its links are relative: without a slash at the end they would lead beside it."""
    away = await asked(app("/box"), "GET", "/box")
    assert (away.status, away.header("location")) == (308, "box/")
    assert (await asked(app("/box"), "GET", "/box/")).status == 200
    assert (await asked(app("/box"), "GET", "/box/ui/app.js")).status == 200


def test_every_file_that_is_named_is_there_and_no_other_origin_is() -> None:
    """Imports, styles and pictures are relative; no address of elsewhere stands in our own files."""
    found = assets()
    for name, each in found.items():
        text = each.plain.decode()
        folder = Path(name).parent
        for link in re.findall(r'(?:from|import\() ?["`](\.[^"`$]+\.js)["`]', text):
            assert str((Path("/x") / folder / link).resolve().relative_to("/x")) in found, (name, link)
        if not name.startswith("vendor"):
            allowed = ("http://www.w3.org/",)
            assert all(url.startswith(allowed) for url in re.findall(r"https?://[a-z0-9.]+/?", text)), name
    for link in re.findall(r'(?:href|src)="(ui/[^"]+)"', found["index.html"].plain.decode()):
        assert link.removeprefix("ui/") in found


def test_the_vendored_files_are_those_of_their_notice() -> None:
    """Checksums and licences; `python -m scripts.ui --check` builds them again where node is there."""
    notice = (ui_vendor.OUT / ui_vendor.NOTICE).read_text()
    for name in ("vendor.js", "vendor-plot.js", "vendor-plot.css"):
        digest = hashlib.sha256((ui_vendor.OUT / name).read_bytes()).hexdigest()
        assert f"{name}  sha256 {digest}" in notice
    assert all(f"\n{package} " in notice for package in ("preact", "htm", "@preact/signals", "uplot"))
    assert sum((ui_vendor.OUT / name).stat().st_size for name in ("vendor.js", "vendor-plot.js")) <= 80_000


def test_the_types_of_the_modules_are_those_of_the_structs() -> None:
    """`python -m scripts.ui_types` writes them."""
    assert ui_types.FILE.read_text() == ui_types.written()


def test_each_page_is_small() -> None:
    """Whatever page is opened first: at most 150 kB of files, 60 kB packed, of which 80 kB are vendored."""
    every = assets()

    def loaded(name: str, found: set[str]) -> set[str]:
        if name not in found:
            found.add(name)
            for at in re.findall(r'^import .*? from "([^"]+)"', every[name].plain.decode(), re.MULTILINE):
                loaded(posixpath.normpath(posixpath.join(posixpath.dirname(name), at)), found)
        return found

    shell = {"index.html", "app.css", "vendor-plot.css", "icon.svg"} | loaded("app.js", set())
    for page in (name for name in every if name.startswith("pages/")):
        files = shell | loaded(page, set())
        assert sum(len(every[name].plain) for name in files) <= 150_000, page
        assert sum(len(every[name].packed) for name in files) <= 60_000, page
    assert (
        sum(len(each.plain) for name, each in every.items() if name.startswith("vendor") and "txt" not in name)
        <= 80_000
    )
