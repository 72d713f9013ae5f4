"""The address that `/hearth/status` shows."""

from __future__ import annotations

import pytest

from runtime.compose.report import address_of
from runtime.settings import Server


@pytest.mark.parametrize(
    ("server", "shown"),
    [
        (Server(), "http://127.0.0.1:8000"),
        (Server(socket="/run/hearth.sock"), "unix:/run/hearth.sock"),
        (Server(host="0.0.0.0", socket="h.sock", port=9), "unix:h.sock"),
        (Server(host="::1", port=9), "http://[::1]:9"),
        (Server(path_prefix="/box"), "http://127.0.0.1:8000/box"),
    ],
)
def test_the_address_is_the_one_that_is_listened_on(server: Server, shown: str) -> None:
    """A Unix socket takes the place of host and port."""
    assert address_of(server) == shown
