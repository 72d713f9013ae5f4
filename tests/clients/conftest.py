"""One Hearth for all tests of clients, and each client's program run once for all its tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from local_models.installer.install import UnfitBoxError
from tests.clients.clients import Client
from tests.clients.serving import Outcomes, Served, run, serving
from tests.conftest import foreign

Tried = Callable[[Client, str], Outcomes]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        for name in filter(foreign, list(os.environ)):
            patch.delenv(name)
        with serving(tmp_path_factory.mktemp("clients")) as up:
            yield up


@pytest.fixture(scope="session")
def tried(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """What every case of a client's program came to with one model; skips where the machine lacks what it needs."""

    @cache
    def outcomes(client: Client, model: str) -> Outcomes:
        env = {
            "HEARTH_URL": served.url,
            "HEARTH_KEY": served.key,
            "HEARTH_ASK": model,
            "HEARTH_CLIENT": client.name,
            "HEARTH_WIRE": client.wire,
        }
        folder = tmp_path_factory.mktemp(client.name)
        return Outcomes(run(client.command(folder), folder, env))

    def one(client: Client, model: str) -> Outcomes:
        try:
            return outcomes(client, model)
        except UnfitBoxError as unfit:
            pytest.skip(str(unfit))

    return one
