"""One `hearth serve` with its engine for the tests of this folder that do not need one of their own: a start takes a minute."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.serving import Serving, cloud


@pytest.fixture(scope="session")
def cloud_port() -> Iterator[int]:
    with cloud() as port:
        yield port


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory, cloud_port: int) -> Iterator[Serving]:
    """test_nights asks its engine; test_serving, which is the last to use it, ends it."""
    served = Serving(tmp_path_factory.mktemp("serving"), cloud_port)
    try:
        served.wait_ready()
        yield served
    finally:
        served.end()
