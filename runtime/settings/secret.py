"""A secret by reference: the place it is kept in, and, once resolved, the value that is never shown.

Knows `env:NAME` and `file:PATH`. Does not know which settings hold secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

LITERAL = (
    'a secret may not be written out in the settings: name where it is kept, "env:NAME" (an environment variable) '
    'or "file:PATH" (a file that holds nothing else); if this one was real, change it at its provider'
)


@dataclass(frozen=True, slots=True)
class Secret:
    """`reference` may be shown; only `reveal()` returns the value, for a header."""

    reference: str
    value: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.reference

    @property
    def empty(self) -> bool:
        return not self.value

    @property
    def trouble(self) -> str | None:
        """A sentence on why the value cannot be sent as a key; it never contains the value. None if it can."""
        if not self.value:
            return "holds no value"
        if not self.value.isascii() or not self.value.isprintable() or " " in self.value:
            return "holds more than a key: white space, or letters no header can carry"
        return None

    def reveal(self) -> str:
        """The value. Raises ValueError where the reference led to none."""
        if not self.value:
            raise ValueError(f"{self.reference} holds no value")
        return self.value

    def resolved(self, env: Mapping[str, str], folder: Path) -> Secret:
        """With its value, stripped; without one where the variable or the file is absent or empty."""
        kind, _, place = self.reference.partition(":")
        if kind == "env":
            text = env.get(place, "")
        else:
            try:
                text = secret_file(place, env, folder).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                text = ""
        return Secret(self.reference, text.strip() or None)


def reference(value: object) -> Secret:
    """The Secret of a reference as written. Raises ValueError, without the value, for anything else."""
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise ValueError('must be "env:NAME" or "file:PATH"')
    kind, colon, place = value.partition(":")
    if not colon or kind not in ("env", "file"):
        raise ValueError(LITERAL)
    if not place or (kind == "env" and not place.replace("_", "a").isalnum()):
        raise ValueError(f'names no place: write "{kind}:{"NAME" if kind == "env" else "PATH"}"')
    return Secret(value)


def secret_file(place: str, env: Mapping[str, str], folder: Path) -> Path:
    """The file of `file:PLACE`: `~` is the home of `env`, a relative path is below `folder`."""
    if place.startswith("~/") and env.get("HOME"):
        return Path(env["HOME"]) / place[2:]
    return folder / place


def file_of(secret: Secret, env: Mapping[str, str], folder: Path) -> Path | None:
    """The file a secret is kept in; None where it is a variable."""
    kind, _, place = secret.reference.partition(":")
    return secret_file(place, env, folder) if kind == "file" else None
