"""Waiting for an engine that is starting, with its state shown until it is ready, gives up, or time is over."""

from __future__ import annotations

import time
from typing import TextIO

import httpx
import msgspec

from runtime.cli.exits import CommandError, Exit
from runtime.cli.paint import Paint, duration
from runtime.server.status import StatusReport

_LOOK_EVERY_S = 1.0


def wait_for_engine(http: httpx.Client, err: TextIO, paint: Paint, deadline: float, refused: CommandError) -> None:
    """Returns when the question may be sent again. deadline: monotonic. Raises `refused` if there is nothing to wait for."""
    said = ""
    while time.monotonic() < deadline:
        try:
            replicas = msgspec.json.decode(http.get("/hearth/status").content, type=StatusReport).engine.replicas
        except msgspec.DecodeError:
            replicas = ()
        if not replicas:
            raise refused
        if any(replica.state == "ready" for replica in replicas):
            _say(err, paint, said, "")
            time.sleep(_LOOK_EVERY_S)  # ready, but it refused a moment ago
            return
        if all(replica.state == "given_up" for replica in replicas):
            unknown = "it gives no cause; `hearth status` shows its log"
            cause = next((replica.cause for replica in replicas if replica.cause), unknown)
            raise CommandError(f"the engine does not start: {cause}", Exit.REFUSED) from refused
        first = min(replicas, key=lambda each: each.ready_in_s if each.ready_in_s is not None else float("inf"))
        soon = f", ready in about {duration(first.ready_in_s)}" if first.ready_in_s else ""
        failure = f" (last failure: {first.cause})" if first.cause else ""
        said = _say(err, paint, said, f"the engine is {first.state.replace('_', ' ')}{soon}{failure}")
        time.sleep(_LOOK_EVERY_S)
    raise CommandError("the engine is still starting; wait longer with --wait SECONDS", Exit.REFUSED) from refused


def _say(err: TextIO, paint: Paint, before: str, words: str) -> str:
    """Shows one line that changes in place on a terminal; elsewhere a line when the state changes."""
    if err.isatty():
        err.write(f"\r\x1b[K{paint(words, 'dim')}")
    elif words and words.partition(",")[0] != before.partition(",")[0]:
        err.write(words + "\n")
    err.flush()
    return words
