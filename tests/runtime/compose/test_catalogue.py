"""The catalogue that the dashboard shows: sized for this box, with what serves each model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from local_models.facts.catalogue import catalogue
from runtime.compose.catalogue import listed
from runtime.contract.engine import Gpu
from runtime.settings import Settings
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import Turn, cloud, engine_backend, told

GIB = 1 << 30


async def test_each_model_fits_or_says_why_and_who_serves_it(tmp_path: Path) -> None:
    """By the GPUs of this box; one that a configured server offers under its hub id is named with that target."""
    far = cloud("far", Turn(told("x")))
    big = next(each for each in catalogue().entries if each.name == "llama-3.3-70b")
    far.target = replace(far.target, model=big.hub)  # type: ignore[arg-type]
    async with opened(Setup(engine_backend((Turn(told("y")),)), [far]), tmp_path) as door:
        gpu = Gpu(0, "NVIDIA L4", 24 * GIB, 0, 0.0, 0.0)
        door.engine.gpus = lambda: (gpu,)  # type: ignore[method-assign]
        rows = {each.name: each for each in listed(door.desk.fleet, Settings(), {"XDG_CACHE_HOME": str(tmp_path)})}
        assert list(rows) == [entry.name for entry in catalogue().entries]
        assert rows["llama-3.1-8b"].fits and not rows["llama-3.3-70b"].fits
        assert "does not fit" in rows["llama-3.3-70b"].why[0] and rows["llama-3.3-70b"].served_by == ("far",)
        attached = Settings.model_validate({"engine": {"url": ["http://127.0.0.1:9/v1"]}})
        assert {each.fits for each in listed(door.desk.fleet, attached, {"XDG_CACHE_HOME": str(tmp_path)})} == {None}
