"""`hearth models load`: the course first, then the wait for the model where it is asked for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.cli import loading
from runtime.cli.client import Address
from runtime.cli.exits import CommandError
from runtime.server.status import EngineStatus, LoadStatus, ModelStatus
from tests.runtime.cli.fake_runtime import Asked, Reply, as_json, fake_runtime


def row(state: str, **more: Any) -> dict[str, Any]:
    return {"name": "local/small", "model": "llama-3.2-1b", "state": state, "for_s": 1.0, "load": "manual", **more}


def waited(*rows: dict[str, Any]) -> tuple[ModelStatus, list[str]]:
    """What the wait returns, and the lines it shows, for one answer of the runtime after another."""
    answers, shown = list(rows), list[str]()

    def answer(asked: Asked) -> Reply:
        models = [answers.pop(0)] if answers else []
        return as_json(status() | {"models": models})

    with fake_runtime(answer) as runtime:
        return loading.loaded(Address(runtime.url), "small", shown.append, sleep=lambda seconds: None), shown


def status() -> dict[str, Any]:
    return {
        "version": "0",
        "started_at": 0.0,
        "uptime_s": 0.0,
        "address": "",
        "engine": msgspec.to_builtins(EngineStatus(model="m", device="cpu")),
        "load": msgspec.to_builtins(LoadStatus()),
    }


def test_the_wait_ends_when_the_model_is_ready() -> None:
    """Each change of its state is shown once."""
    found, shown = waited(
        row("absent"), row("fetching", why="its files are fetched"), row("loading"), row("loading"), row("ready")
    )
    assert found.state == "ready"
    assert shown == [
        "local/small is absent",
        "local/small is fetching: its files are fetched",
        "local/small is loading",
    ]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row("loading"), row("failed", cause="out of memory")], "out of memory"),
        ([row("absent"), row("absent", cause="small takes 9.0 GiB, and 2.0 GiB are left")], "2.0 GiB are left"),
        ([row("loading")], "has no"),
    ],
)
def test_a_load_that_ends_otherwise_is_a_fault(rows: list[dict[str, Any]], words: str) -> None:
    """With the cause."""
    with pytest.raises(CommandError, match=words):
        waited(*rows)
