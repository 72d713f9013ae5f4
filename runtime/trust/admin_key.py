"""The admin key that a box without configured admin keys makes for itself: STATE/admin.key, readable by its owner alone."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

NAME = "admin.key"
_PREFIX = "hearth-admin-"
_MOST_BYTES = 4096


def local_admin_key(folder: Path) -> str:
    """The key in the state folder, made if there is none. Raises OSError if the folder cannot be written.

    A file that other users could read or write, or that holds no key, is replaced: its key may be known to them.
    """
    path = folder / NAME
    return _kept(path) or _made(path)


def _kept(path: Path) -> str | None:
    try:
        # no link is followed: it may lead anywhere
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(handle)
        private = stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o077
        text = file.read(_MOST_BYTES).decode("ascii", "replace").strip() if private else ""
    return text if text.startswith(_PREFIX) and len(text) > len(_PREFIX) + 30 else None


def _made(path: Path) -> str:
    key = _PREFIX + secrets.token_urlsafe(32)
    fresh = path.with_name(f"{NAME}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(f"{key}\n")
        file.flush()
        os.fsync(handle)
    fresh.replace(path)
    return key
