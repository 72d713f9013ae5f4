"""LoRA adapters on running engines: fake vLLM processes that have its two calls."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.fakes.local_engine import fake_engine
from tests.local_models.replica.test_adapters import adapter
from tests.local_models.running import answer, only, restarted, running, until

pytestmark = pytest.mark.slow


async def test_adapters_come_and_go_while_it_serves(tmp_path: Path) -> None:
    """Their names are the engine's as long as they are loaded; another adapter's name is not."""
    async with running(fake_engine(tmp_path, max_loras=2), tmp_path) as engine:
        assert engine.served == {"fake-llama": None}
        assert await engine.adapters.load("legal", str(adapter(tmp_path / "legal"))) == ""
        await until(lambda: only(engine).adapters == ("legal",))
        assert engine.served == {"fake-llama": None, "legal": "legal"}
        assert (await answer(engine, model="legal")).startswith("legal")
        assert not (await answer(engine)).startswith("legal")
        assert await engine.adapters.unload("legal") == ""
        await until(lambda: engine.served == {"fake-llama": None})


async def test_adapters_are_loaded_again_after_a_crash(tmp_path: Path) -> None:
    """Those of the settings and those of a command; one that cannot be loaded keeps nothing from starting."""
    folders = {"legal": str(adapter(tmp_path / "legal")), "gone": str(tmp_path / "gone")}
    async with running(fake_engine(tmp_path, adapters=folders), tmp_path) as engine:
        assert only(engine).adapters == ("legal",)
        assert "No adapter found" in engine.adapters.faults("gone")
        assert await engine.adapters.load("tax", str(adapter(tmp_path / "tax"))) == ""
        pid = only(engine).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await restarted(engine)
        assert only(engine).adapters == ("legal", "tax")
        assert (await answer(engine, model="tax")).startswith("tax")


async def test_every_replica_has_them(tmp_path: Path) -> None:
    """A name is answered by any replica."""
    async with running(fake_engine(tmp_path, replicas=2, max_loras=1), tmp_path) as engine:
        await until(lambda: all(view.ready for view in engine.views()))
        assert await engine.adapters.load("legal", str(adapter(tmp_path / "legal"))) == ""
        await until(lambda: [view.adapters for view in engine.views()] == [("legal",)] * 2)
