"""Weights are counted by their index; a file that is not there, not whole or none at all is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local_models.weights.errors import NotAModelError
from local_models.weights.shards import INDEX, weight_bytes
from tests.local_models.weights.safetensors import write_safetensors

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 4976698672\n"


def indexed(folder: Path, *names: str) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": {f"layer.{i}": name for i, name in enumerate(names)}}))


def test_a_second_copy_beside_the_shards_is_not_counted(tmp_path: Path) -> None:
    """`consolidated.safetensors` holds the same weights once more, and so may any file the index does not name."""
    shards = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    for name in (*shards, "consolidated.safetensors", "adapter.safetensors"):
        write_safetensors(tmp_path / name, 1000)
    indexed(tmp_path, *shards, shards[0])
    assert weight_bytes(tmp_path) == 2000


def test_without_an_index_every_file_but_a_second_copy_counts(tmp_path: Path) -> None:
    """A folder that has nothing but the consolidated file is counted by it."""
    write_safetensors(tmp_path / "consolidated.safetensors", 5000)
    assert weight_bytes(tmp_path) == 5000
    write_safetensors(tmp_path / "model.safetensors", 1000)
    assert weight_bytes(tmp_path) == 1000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (POINTER, "Git LFS pointer"),
        (b"", "no safetensors file"),
        (b"<!doctype html><html>", "no safetensors file"),
        (bytes(1000), "no safetensors file"),
        ((20).to_bytes(8, "little") + b'{"w": {"dtype": 1}}', "no safetensors file"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    """Pointers, empty files, error pages: each is named, and never "0 MiB, fits"."""
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(NotAModelError, match=words):
        weight_bytes(tmp_path)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    """Its head says how long it must be."""
    write_safetensors(tmp_path / "model.safetensors", 5000)
    with (tmp_path / "model.safetensors").open("r+b") as file:
        file.truncate(4000)
    with pytest.raises(NotAModelError, match="cut off: it has 4,000 of 5,000 bytes"):
        weight_bytes(tmp_path)


def test_a_file_of_the_index_that_is_missing_is_named(tmp_path: Path) -> None:
    """Not counted as nothing."""
    write_safetensors(tmp_path / "1.safetensors")
    indexed(tmp_path, "1.safetensors", "2.safetensors")
    with pytest.raises(NotAModelError, match=r"2\.safetensors is missing"):
        weight_bytes(tmp_path)


@pytest.mark.parametrize(
    "index", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": "../b"}}', '{"weight_map": {"a": 1}}']
)
def test_an_odd_index_is_refused(tmp_path: Path, index: str) -> None:
    """It names files of its folder, or nothing is known."""
    write_safetensors(tmp_path / "1.safetensors")
    (tmp_path / INDEX).write_text(index)
    with pytest.raises(NotAModelError):
        weight_bytes(tmp_path)
