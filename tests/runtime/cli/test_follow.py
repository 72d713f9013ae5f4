"""A followed runtime: by its events, by asking where there are none, and again when it was away."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import msgspec

from runtime.cli.client import Address
from runtime.cli.exits import CommandError, Exit
from runtime.cli.follow import FollowedRuntime
from tests.runtime.cli.fake_runtime import Answer, Asked, Reply, as_json, fake_runtime
from tests.runtime.cli.test_status_command import FULL
from tests.runtime.cli.test_watch import event


@contextlib.contextmanager
def following(url: str, *, with_log: bool = False) -> Iterator[FollowedRuntime]:
    followed = FollowedRuntime(Address(url), 0.02)
    followed.with_log = with_log
    followed.start()
    try:
        yield followed
    finally:
        followed.fault = followed.fault or CommandError("the test is over")


def until(followed: FollowedRuntime, condition: Callable[[], bool]) -> None:
    """Awaits a change after which a condition holds."""
    while not condition():
        assert followed.changed.wait(30)
        followed.changed.clear()


def runtime(*frames: bytes) -> Answer:
    """A runtime whose stream has these frames and ends, so that it is opened again."""

    def answer(asked: Asked) -> Reply:
        if asked.path.startswith("/hearth/events"):
            return Reply(200, frames, kind="text/event-stream")
        if asked.path.startswith("/hearth/series"):
            return as_json({"step_s": 0, "series": {"predicted_ttft_ms": [100.0, None]}})
        if asked.path.startswith("/hearth/log"):
            return as_json({"data": ["earlier"]})
        return Reply(200, (msgspec.json.encode(FULL),))

    return answer


def test_reports_carry_the_line_of_predictions_on() -> None:
    """After the steps that the runtime kept; and no report is asked for."""
    status = event("status", FULL)
    with fake_runtime(runtime(status + status[:50], status[50:])) as there, following(there.url) as followed:
        until(followed, lambda: len(followed.predicted) == 4)
        assert followed.predicted == (100.0, None, 2500.0, 2500.0) and followed.report == FULL
        assert not any(asked.path.startswith("/hearth/status") for asked in there.asked)


def test_the_log_follows_its_last_lines() -> None:
    """Where the key may read it; else a sentence says which key it takes."""
    lines = event("log", {"lines": ["now", "and now"], "left_out": 3})
    with fake_runtime(runtime(event("status", FULL), lines)) as there, following(there.url, with_log=True) as followed:
        until(followed, lambda: followed.log == ("earlier", "now", "and now"))
        assert "topics=status,log" in there.asked[1].path

    def refused(asked: Asked) -> Reply:
        return as_json({}, 403) if "log" in asked.path else runtime(event("status", FULL))(asked)

    with fake_runtime(refused) as there, following(there.url, with_log=True) as followed:
        until(followed, lambda: followed.report is not None)
        assert "admin key" in followed.log[0]


def test_without_a_stream_the_report_is_asked_for() -> None:
    """Where all places of readers are taken."""

    def full(asked: Asked) -> Reply:
        return as_json({}, 503) if asked.path.startswith("/hearth/events") else runtime()(asked)

    with fake_runtime(full) as there, following(there.url) as followed:
        until(followed, lambda: followed.report == FULL and len(followed.predicted) > 0)
        assert followed.trouble == ""


def test_a_runtime_that_is_away_is_waited_for() -> None:
    """Its last report stays, with the reason why it is old, until another answers at its address."""
    with contextlib.ExitStack() as stack:
        with fake_runtime(runtime(event("status", FULL))) as one:
            followed = stack.enter_context(following(one.url))
            until(followed, lambda: followed.report is not None)
        until(followed, lambda: followed.trouble.startswith("looking again: no runtime answers"))
        assert followed.report == FULL
        with fake_runtime(runtime(event("status", FULL)), int(one.url.rpartition(":")[2])):
            until(followed, lambda: followed.trouble == "")


def test_a_key_that_may_not_read_ends_it_with_a_sentence() -> None:
    """So does an answer that is none of this version."""
    refused = as_json({"error": {"message": "a key is missing"}}, 401)
    for answer, words in ((lambda _: refused, "a key is missing"), (runtime(event("status", {"new": 1})), "version")):
        with fake_runtime(answer) as there, following(there.url) as followed:
            until(followed, lambda followed=followed: followed.fault is not None)  # type: ignore[misc]
            assert followed.fault is not None
            assert words in str(followed.fault) and followed.fault.exit is Exit.REFUSED
