"""The socket that clients connect to: a TCP port, or a Unix socket behind a reverse proxy on the same machine."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

BACKLOG = 4096
MODE = 0o660  # of a Unix socket: its owner and its group may connect


@contextlib.contextmanager
def listening(host: str, port: int, path: str = "", mode: int = MODE) -> Iterator[socket.socket]:
    """A socket that already queues connections. path: a Unix socket instead of host and port; removed at the end.

    Raises OSError, with the address in its words, where it cannot be had.
    """
    if path:
        with _unix(Path(path), mode) as listener:
            yield listener
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise OSError(error.errno, f"{host}:{port} cannot be listened on: {error.strerror}") from error
        yield _opened(listener)


def address_of(listener: socket.socket, host: str, prefix: str = "") -> str:
    """The address as users type it. prefix: the path below which it is shown."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}{prefix}"


@contextlib.contextmanager
def _unix(path: Path, mode: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        _remove_stale(path)
        # the file has its mode from its first moment on: nobody connects before a chmod
        mask = os.umask(0o777 & ~mode)
        try:
            listener.bind(str(path))
        except OSError as error:
            raise OSError(error.errno, f"{path} cannot be listened on: {error.strerror}") from error
        finally:
            os.umask(mask)
        own = path.stat().st_ino
        try:
            yield _opened(listener)
        finally:
            with contextlib.suppress(OSError):
                if path.stat().st_ino == own:  # a later process may have put its own there
                    path.unlink()


def _remove_stale(path: Path) -> None:
    """Removes a socket that nobody listens on any more. Raises OSError for one in use and for a file of another kind."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise OSError(errno.EEXIST, f"{path} cannot be listened on: there is a file that is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise OSError(error.errno, f"{path} cannot be listened on: {error.strerror}") from error
    raise OSError(errno.EADDRINUSE, f"{path} cannot be listened on: another process does")


def _opened(listener: socket.socket) -> socket.socket:
    listener.listen(BACKLOG)  # clients that connect before the server runs are queued
    listener.setblocking(False)
    return listener
