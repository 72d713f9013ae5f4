"""The memory of a chore of the evaluation between two looks: one small JSON file in the state folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from runtime.whole_file import replace_file

_T = TypeVar("_T", bound=msgspec.Struct)
_log = logging.getLogger("hearth.quality")


class KeptFile(Generic[_T]):
    """kind: of the content, which begins as `kind()`. name: what the content is, for the log."""

    def __init__(self, path: Path, kind: type[_T], name: str) -> None:
        self._path, self._kind, self._name = path, kind, name

    def read(self) -> _T:
        """The content; a fresh one where there is no file, or none that can be read. Blocks."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=self._kind)
        except FileNotFoundError:
            return self._kind()
        except (OSError, msgspec.MsgspecError) as fault:
            _log.warning("%s cannot be read from %s, and a new file is begun: %s", self._name, self._path, fault)
            return self._kind()

    def write(self, content: _T) -> None:
        """A disk that cannot be written costs the memory, not the chore. Blocks."""
        try:
            replace_file(self._path, msgspec.json.encode(content))
        except OSError as fault:
            _log.warning("%s cannot be kept in %s: %s", self._name, self._path, fault)
