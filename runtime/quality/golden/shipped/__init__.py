"""The golden sets that ship with Hearth: one for the built-in model, and a general one."""

from __future__ import annotations

from importlib import resources


def shipped_sets() -> dict[str, str]:
    """The text of each, by name."""
    files = [each for each in resources.files(__name__).iterdir() if each.name.endswith(".toml")]
    return {
        each.name.removesuffix(".toml"): each.read_text(encoding="utf-8")
        for each in sorted(files, key=lambda f: f.name)
    }
