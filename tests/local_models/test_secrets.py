"""No key, token or credential appears where an object of these rooms is printed."""

from __future__ import annotations

import pprint
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_models.fleet import local_engine
from local_models.host.gpu import NoGpu
from local_models.replica.attached import AttachedServer
from local_models.replica.command import EngineCommand, EngineLaunch
from local_models.replica.owned import StartPlan
from local_models.replica.prepared import PreparedModel
from local_models.weights.weights import Workshop
from local_models.wire.hop import EngineHop
from local_models.wire.url import without_secrets
from runtime.contract.engine import EngineSpec
from tests.fakes.guard import GUARD

SECRET = "sk-very-secret"
URL = f"http://user:{SECRET}@127.0.0.1:9/v1"
ENVIRON = {"HF_TOKEN": SECRET}


async def _sleep(seconds: float) -> None: ...


def holders() -> Iterator[object]:
    """One object of every class that holds a key, or an environment that may."""
    spec = EngineSpec("m", Path("/nowhere"), urls=(URL,), key=SECRET)
    yield spec
    yield local_engine(spec, environ=ENVIRON, clock=lambda: 0.0, probe=NoGpu(), guard=GUARD)
    hop = EngineHop(base_url=URL, key=SECRET, clock=lambda: 0.0)
    yield hop
    yield hop.address
    yield AttachedServer("replica-0", without_secrets(URL), hop, "m", _sleep)
    yield EngineLaunch(Path("python"), "cpu", PreparedModel(Path("/m"), "m"), Path("/s"), environ=ENVIRON)
    yield EngineCommand(("python",), ENVIRON)
    yield StartPlan(("python",), ENVIRON, (), "key", "the CPU")
    yield Workshop(GUARD, print, ENVIRON, Path("/cache"))


@pytest.mark.parametrize("holder", [*holders()], ids=lambda it: type(it).__name__)
def test_a_secret_is_not_printed(holder: object) -> None:
    """Neither by repr, str nor format, nor by a pretty printer, nor in a list."""
    shown = (repr(holder), str(holder), f"{holder}", repr([holder]), pprint.pformat(holder))
    assert not [text for text in shown if SECRET in text]
