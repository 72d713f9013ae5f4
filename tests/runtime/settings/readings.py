"""Readings of settings for the tests: from a text, with no environment but the one given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from runtime.settings import Loaded, Settings, SettingsError, read

FILE = Path("/nowhere/hearth.toml")
PROVIDERS = frozenset({"anthropic", "openai", "groq"})

TARGET = """
[targets.cloud]
provider = "openai"
model = "big"
base_url = "http://127.0.0.1:9/v1"
"""


def loaded(text: str = "", env: Mapping[str, str] | None = None, file: Path = FILE) -> Loaded:
    return read(text, file, env or {}, PROVIDERS)


def settings(text: str = "", env: Mapping[str, str] | None = None, file: Path = FILE) -> Settings:
    return loaded(text, env, file).settings


def problems(text: str = "", env: Mapping[str, str] | None = None, file: Path = FILE) -> list[str]:
    """Every problem of a reading, without the folder; none where it succeeds."""
    try:
        loaded(text, env, file)
    except SettingsError as error:
        return [str(problem).removeprefix(f"{file.parent}/") for problem in error.problems]
    return []


def problem(text: str = "", env: Mapping[str, str] | None = None, file: Path = FILE) -> str:
    """The only problem of a reading."""
    found = problems(text, env, file)
    if len(found) != 1:
        pytest.fail(f"one problem was expected: {found}")
    return found[0]
