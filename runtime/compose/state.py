"""The state folder, owned by one process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO


class StateLocked(Exception):
    """Another runtime owns the state folder."""


def lock_state(folder: Path) -> IO[str]:
    """Locks the state folder until the file is closed. Raises StateLocked with the owner's pid."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = (folder / "lock").open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise StateLocked(f"the state folder {folder} is in use by process {owner}") from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
