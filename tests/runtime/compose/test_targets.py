"""The configured targets: sentences about them, and what is assumed of an engine that nobody asked."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from local_models.backend import idle_target
from local_models.engine import LocalEngine
from local_models.host.gpu import GpuReader, NoGpu
from runtime.compose.engine import engine_spec
from runtime.compose.targets import leaving, offline_planner
from runtime.settings.read import read
from tests.fakes.guard import GUARD

TARGETS = '[targets.a]\nprovider = "openai"\nmodel = "m"\n[targets.b]\nprovider = "anthropic"\nmodel = "n"\n'
KEYS = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}


@pytest.mark.parametrize(
    ("settings", "keys", "says"),
    [
        (TARGETS, KEYS, "scores 0.62 or more leaves for a;"),
        (f'{TARGETS}[routes]\ncomplex = ["b"]\n', KEYS, "leaves for b;"),
        (
            f"{TARGETS}[escalation]\ncomplexity = {{ default = 0.7, code = 0.5 }}\n",
            KEYS,
            "scores 0.7, 0.5 for code or more",
        ),
        (TARGETS, {"ANTHROPIC_API_KEY": "k"}, "leaves for b;"),
        (TARGETS, {}, ""),
        (f"{TARGETS}[escalation]\ncomplexity = 1\n", KEYS, ""),
        (f'{TARGETS}[escalation]\nmode = "advise"\n', KEYS, ""),
        ("", KEYS, ""),
    ],
)
def test_what_leaves_for_its_score_is_said_where_something_can(settings: str, keys: dict[str, str], says: str) -> None:
    """Threshold and first target; nothing without a target that can be called."""
    found = leaving(read(settings, None, keys).settings)
    assert (says in found[0]) if says else not found


def test_an_idle_attached_engine_is_what_a_running_one_is_before_it_was_asked(tmp_path: Path) -> None:
    """Nothing is known against it: the settings' own model says nothing of what the server has loaded."""
    made = read('[engine]\nurl = ["http://127.0.0.1:9/v1"]\n', None, {}).settings
    spec = engine_spec(made, tmp_path)
    running = LocalEngine(spec, prepare=_none, plan=_none, gpus=GpuReader(NoGpu()), clock=time.monotonic, guard=GUARD)
    idle = idle_target(spec, frozenset(), made.timeouts_of("local"))
    assert idle.capabilities == running.capabilities
    body = {
        "model": "auto",
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }
    plan = offline_planner(made).explain("openai_chat", body, {}).plan
    assert [each.target.label for each in plan.candidates] == ["local/smollm2-135m"]


async def _none(*_: Any) -> Any:
    raise AssertionError("nothing is started")
