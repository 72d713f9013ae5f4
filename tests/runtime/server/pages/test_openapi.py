"""The served document: every route is in it, nothing else is, and a validator accepts it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from runtime.routing.facts.hints import Hints
from runtime.server.pages.openapi import OPERATIONS, document
from runtime.server.routes import SCOPES
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import Turn, engine_backend, whole


def test_the_document_and_the_table_of_scopes_have_the_same_routes() -> None:
    """A route that is added to one of them and not to the other is found here."""
    assert {operation.route for operation in OPERATIONS} == set(SCOPES)


def test_what_needs_no_key_says_so() -> None:
    """Only the health pages and the files of the dashboard are open."""
    paths = document(SCOPES)["paths"]
    free = {path for path, methods in paths.items() for described in methods.values() if "security" not in described}
    assert free == {"/health/live", "/health/ready", "/", "/ui/{id}"}


async def test_the_document_is_served_and_each_path_is_answered(tmp_path: Path) -> None:
    """No described method of a described path is unknown to the server."""
    async with opened(Setup(engine_backend((Turn([whole("x")]),))), tmp_path) as served:
        shown = (await served.client.get("/openapi.json")).json()
        for path, methods in shown["paths"].items():
            for method in methods:
                place = path.replace("{id}", "none")
                async with served.client.stream(method, place, json={}) as answer:
                    if answer.headers["content-type"].startswith("text/event-stream"):
                        continue  # it lasts as long as its reader
                    await answer.aread()
                assert answer.status_code != 405 and "nothing is served" not in answer.text, (method, path)


def test_the_hints_of_the_document_are_those_that_are_read() -> None:
    """A hint that is added to one of them and not to the other is found here."""
    described = document(SCOPES)["components"]["schemas"]["Chat"]["properties"]["hearth"]["properties"]
    assert set(described) == {each.name for each in dataclasses.fields(Hints)}
