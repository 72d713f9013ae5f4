"""The product follows the rules of the wires, not the recordings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

LONG = 40  # characters of running text that nobody writes twice by chance
_WORDS = re.compile(r"\w+")
_SHINGLE = 8  # words
_TEXTS = frozenset({"text", "content", "input", "prompt", "thinking", "reasoning", "reasoning_content", "output_text"})


@pytest.fixture(scope="module")
def product() -> str:
    files = (file for room in ("cloud", "runtime") for file in (ROOT / room).rglob("*") if file.is_file())
    return "\n".join(file.read_text("utf-8") for file in files if file.suffix in {".py", ".toml", ".json", ".md"})


@pytest.fixture(scope="module")
def recordings(shared: Path) -> list[Path]:
    found = sorted((shared / "recordings").rglob("*.json"))
    if not found:
        pytest.skip(f"no recordings in {shared}")
    return found


def test_no_recording_is_named(product: str, recordings: list[Path]) -> None:
    """Neither by its file's name nor by the test that made it."""
    names = {file.stem for file in recordings} - {"MANIFEST"}
    names |= {name.rpartition("__")[2].partition("[")[0] for name in names}
    assert [name for name in sorted(names) if len(name) > 12 and name in product] == []


def test_no_text_of_a_recording_stands_in_the_product(product: str, recordings: list[Path]) -> None:
    """Texts of users and models that are longer than a phrase are not in the product."""
    ours = shingles(product)
    copied = {
        " ".join(shingle)
        for file in recordings
        if file.stem != "MANIFEST"
        for text in texts(json.loads(file.read_bytes()))
        for shingle in shingles(text) & ours
        if len(" ".join(shingle)) >= LONG
    }
    assert sorted(copied) == []


def test_a_copied_sentence_is_found() -> None:
    """Whatever stands around it, in a body or in an event of a stream, and however its lines are broken."""
    said = "The quick brown fox jumps over the extraordinarily lazy dog"
    code = f'HINT = (\n    "so: {said[:30]}"\n    "{said[30:]}"\n)'
    event = "data: " + json.dumps({"choices": [{"delta": {"content": said}}]}) + "\n\n"
    for recorded in ({"messages": [{"role": "user", "content": said}]}, {"body": event}):
        assert any(shingles(text) & shingles(code.replace('"\n    "', "")) for text in texts(recorded))


def shingles(text: str) -> set[tuple[str, ...]]:
    """Every run of a few words, without case and punctuation."""
    words = [word.lower() for word in _WORDS.findall(text)]
    return set(zip(*(words[start:] for start in range(_SHINGLE)), strict=False))


def texts(value: Any, name: str = "") -> Iterator[str]:
    """Long texts of users and models, also inside bodies and streams that are kept as text."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from texts(member, key)
    elif isinstance(value, list):
        for member in value:
            yield from texts(member, name)
    elif isinstance(value, str) and len(value) >= LONG:
        if "data: {" in value or value.lstrip().startswith(("{", "[")):
            yield from _packed(value)
        elif name in _TEXTS:
            yield value


def _packed(value: str) -> Iterator[str]:
    """Of a body kept as text: JSON, or a stream of events that hold it."""
    for line in value.splitlines() if "data: {" in value else (value,):
        try:
            inner = json.loads(line.removeprefix("data: "))
        except ValueError:
            continue
        yield from texts(inner)
