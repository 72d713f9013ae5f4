"""The socket of the door: a port or a Unix socket, its mode, and what stands in its way."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import httpx
import pytest

from runtime.server.listening import address_of, listening
from tests.runtime.server.test_connection import serving_on


def test_a_port_is_taken_and_given_back() -> None:
    """A second attempt fails with the address in the error."""
    with listening("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert address_of(first, "127.0.0.1", "/box") == f"http://127.0.0.1:{port}/box"
        with pytest.raises(OSError, match=f"127.0.0.1:{port} cannot be listened on"), listening("127.0.0.1", port):
            pass
    with listening("::1", 0) as other:
        assert address_of(other, "::1").startswith("http://[::1]:")


def test_a_unix_socket_is_for_owner_and_group_and_removed_at_the_end(tmp_path: Path) -> None:
    """Others cannot connect, not even for a moment; the process's own mask is as before."""
    path = tmp_path / "door"
    mask = os.umask(0o022)
    try:
        with listening("", 0, str(path)) as listener:
            assert stat.S_IMODE(path.stat().st_mode) == 0o660 and stat.S_ISSOCK(path.stat().st_mode)
            assert address_of(listener, "") == f"unix:{path}"
        assert not path.exists()
        with listening("", 0, str(path), mode=0o600):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(mask)


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    """One that a killed process left behind."""
    path = tmp_path / "door"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    with listening("", 0, str(path)):
        pass


def test_a_socket_in_use_and_other_files_are_left_alone(tmp_path: Path) -> None:
    """The error names the path; nothing is removed."""
    path, file, folder = tmp_path / "door", tmp_path / "file", tmp_path / "none" / "door"
    file.write_text("kept")
    with listening("", 0, str(path)):
        for taken in (path, file, folder):
            with pytest.raises(OSError, match=f"{taken} cannot be listened on"), listening("", 0, str(taken)):
                pass
        assert path.exists() and file.read_text() == "kept"
    with pytest.raises(OSError, match="cannot be listened on"), listening("", 0, str(tmp_path / ("x" * 200))):
        pass


def test_a_socket_of_a_later_process_is_not_removed(tmp_path: Path) -> None:
    """Only the file that was made here."""
    path = tmp_path / "door"
    with listening("", 0, str(path)):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


async def test_requests_through_a_unix_socket(tmp_path: Path) -> None:
    """As through a port."""
    path = str(tmp_path / "door")
    with listening("", 0, path) as listener:
        async with serving_on(listener):
            transport = httpx.AsyncHTTPTransport(uds=path)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                answer = await client.post("/p", content=b"abc")
                assert answer.json()["size"] == 3
