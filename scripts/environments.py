"""Digests of what the checkout's `.venv` was made from, so that nothing is installed twice. Pure, standard library only."""

from __future__ import annotations

import hashlib
import json
import tomllib


def digest(*parts: bytes) -> str:
    """Hex SHA-256 over the parts, each with its length, so that moving bytes from one to the next changes it."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


def installed_part(pyproject: str) -> bytes:
    """The part of pyproject.toml that an installation depends on; lint and test settings change nothing."""
    whole = tomllib.loads(pyproject)
    hatch = whole.get("tool", {}).get("hatch", {})
    return json.dumps([whole.get("build-system"), whole.get("project"), hatch], sort_keys=True).encode()


def stamps(text: str) -> dict[str, str]:
    """The digests a `.venv` was made from: lines of "SET DIGEST"."""
    return dict(line.split(maxsplit=1) for line in text.splitlines() if len(line.split()) == 2)


def with_stamp(text: str, name: str, value: str) -> str:
    """The stamp file's next content."""
    return "".join(f"{key} {each}\n" for key, each in {**stamps(text), name: value}.items())
