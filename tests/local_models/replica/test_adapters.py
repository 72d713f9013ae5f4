"""LoRA adapters: what their files say, what an engine answers, and what a list of models names as one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local_models.adapters import EngineAdapters
from local_models.replica import adapters
from runtime.contract.failures import Disposition, Failure, HopError, Kind


def adapter(folder: Path, **config: Any) -> Path:
    """A folder that looks like an adapter of rank 8."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / adapters.CONFIG).write_text(json.dumps({"r": 8, "lora_alpha": 8, "target_modules": ["q_proj"], **config}))
    (folder / "adapter_model.safetensors").write_bytes(b"x")
    return folder


class Engine:
    """Answers as told, and remembers what it was asked."""

    def __init__(self, status: int = 200, body: bytes = b"Success", fault: HopError | None = None) -> None:
        self.asked: list[tuple[str, Any]] = []
        self._status, self._body, self._fault = status, body, fault

    async def probe(self, path: str, timeout_s: float, *, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
        self.asked.append((path, json.loads(body)))
        if self._fault is not None:
            raise self._fault
        return self._status, self._body


def test_an_adapter_that_fits(tmp_path: Path) -> None:
    """Its rank is the engine's highest."""
    assert adapters.unusable(adapter(tmp_path), 8) == ""


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"r": 64}, "its rank is 64, and the engine takes 16 at most: raise max_lora_rank"),
        ({"rank_pattern": {"v_proj": 32}}, "its rank is 32"),
        ({"r": "8"}, "its rank is 8,"),
        ({"r": None}, "its rank is None"),
    ],
)
def test_ranks_that_the_engine_does_not_take(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    """That of any layer counts; no number is none."""
    assert words in adapters.unusable(adapter(tmp_path, **config), 16)


def test_folders_that_are_no_adapters(tmp_path: Path) -> None:
    """Nothing there, not JSON, not an object, no weights."""
    assert "it is no adapter" in adapters.unusable(tmp_path / "nowhere", 16)
    (tmp_path / adapters.CONFIG).write_text("{")
    assert "cannot be read" in adapters.unusable(tmp_path, 16)
    (tmp_path / adapters.CONFIG).write_text("[]")
    assert "cannot be read" in adapters.unusable(tmp_path, 16)
    (tmp_path / adapters.CONFIG).write_text('{"r": 8}')
    assert "has no adapter_model.safetensors" in adapters.unusable(tmp_path, 16)


async def test_the_engine_is_asked_in_its_own_words() -> None:
    """And its refusals are passed on."""
    engine = Engine()
    assert await adapters.load(engine, "legal", "/srv/legal") == ""
    assert await adapters.unload(engine, "legal") == ""
    assert engine.asked == [
        ("/v1/load_lora_adapter", {"lora_name": "legal", "lora_path": "/srv/legal"}),
        ("/v1/unload_lora_adapter", {"lora_name": "legal"}),
    ]
    refused = Engine(400, b'{"error": {"message": "LoRA rank 64 is greater than max_lora_rank 16."}}')
    assert (
        await adapters.load(refused, "a", "/a")
        == "the engine answered 400: LoRA rank 64 is greater than max_lora_rank 16."
    )
    assert await adapters.load(Engine(500, b"oops"), "a", "/a") == "the engine answered 500: oops"
    lost = HopError(Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, "no connection"))
    assert await adapters.load(Engine(fault=lost), "a", "/a") == "no connection"


def test_adapters_are_the_models_with_a_parent() -> None:
    """Whatever else the list holds."""
    data = [{"id": "base", "parent": None}, {"id": "legal", "parent": "base"}, {"id": "x"}, {"id": "y", "parent": ""}]
    assert adapters.adapters_in(json.dumps({"data": data}).encode()) == {"legal": "base"}
    for body in (b"", b"{", b"[]", b'{"data": 1}', b'{"data": [1]}', b'{"data": [{}]}'):
        assert adapters.adapters_in(body) == {}


class Replica:
    """A replica with room for adapters until it refuses. up: it serves."""

    def __init__(self, refuses: str = "") -> None:
        self.refuses, self.has = refuses, dict[str, str]()
        self.adapter_faults = dict[str, str]()

    async def adapt(self, name: str, folder: str | None) -> str:
        if folder is None:
            self.has.pop(name, None)
            return ""
        if not self.refuses:
            self.has[name] = folder
        return self.refuses


async def test_an_adapter_is_on_every_replica_or_on_none(tmp_path: Path) -> None:
    """The one that had taken it gives it up again; it is not loaded at later starts either."""
    folder, good, bad = str(adapter(tmp_path)), Replica(), Replica("out of memory")
    both = EngineAdapters({}, (good, bad), enabled=True, most_rank=16)
    assert await both.load("legal", folder) == "out of memory"
    assert (good.has, both.wanted) == ({}, {})
    bad.refuses = ""
    assert await both.load("legal", folder) == ""
    assert good.has == bad.has == both.wanted == {"legal": folder}
    assert "already" in await both.load("legal", folder)
    assert await both.unload("legal") == ""
    assert good.has == bad.has == both.wanted == {}
    assert "not loaded" in await both.unload("legal")


async def test_an_engine_without_adapters_takes_none(tmp_path: Path) -> None:
    """It would have to be started anew."""
    none = EngineAdapters({}, (Replica(),), enabled=False, most_rank=16)
    assert "max_loras" in await none.load("legal", str(adapter(tmp_path)))
