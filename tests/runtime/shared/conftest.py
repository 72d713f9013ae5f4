"""The store of these tests: a real Valkey, and in the slow suite Debian's Redis too where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.valkey_server import ValkeyServer, valkey_server


@pytest.fixture(params=["valkey", pytest.param("redis", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ValkeyServer]:
    folder = tmp_path / "store"
    folder.mkdir()
    with valkey_server(folder, request.param) as found:
        yield found
