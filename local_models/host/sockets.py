"""The private folder of the engines' Unix sockets. Knows the limits of socket paths; opens no socket."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

_PATH_MOST = 106  # bytes; sun_path holds 108 with its end, and vLLM refuses 107


def socket_folder(state_dir: Path, temporary: Path = Path("/tmp")) -> Path:
    """The sockets' folder: below the state folder if that is short enough for any replica's path, else below /tmp.

    The name below /tmp comes from the state folder's, so that the next start finds the same one.
    """
    wanted = state_dir.resolve() / "sockets"
    if len(os.fsencode(wanted / "replica-999.sock")) <= _PATH_MOST:
        return wanted
    digest = hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:16]
    return temporary / f"hearth-{os.getuid()}-{digest}"


def short(name: str) -> str:
    """A name of a model as the name of a socket, no longer than that of a replica."""
    return f"m{hashlib.sha256(name.encode()).hexdigest()[:9]}"


def make_private(folder: Path) -> None:
    """Makes a folder that only this user may enter. Raises OSError; PermissionError if another user made it before."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise PermissionError(
            f"{folder} is not a folder of this user: remove it, or set HEARTH_STATE_DIR to a shorter path"
        )
    folder.chmod(0o700)


def remove_stale(path: Path) -> bool:
    """Removes the socket file a dead engine left: its successor could not bind. True when there was one."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
