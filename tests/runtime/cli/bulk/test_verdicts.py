"""What is done after each reply the runtime or vLLM gives."""

import json

import pytest

from runtime.cli.bulk.verdicts import Bad, Good, LabelReply, StopRun, Wait, backoff, retry_after, verdict


def error(message: str, **members: object) -> bytes:
    return json.dumps({"error": {"message": message, "type": "x", **members}}).encode()


def test_an_answer_is_good() -> None:
    """Whether it is a label is judged later."""
    assert verdict(LabelReply(200, b"{}"), 1) == Good()


@pytest.mark.parametrize(
    "reply",
    [
        LabelReply(400, error("This model's maximum context length is 2048 tokens.", param="input_tokens", code=400)),
        LabelReply(400, error("too many tokens", code="context_length_exceeded")),
        LabelReply(413, b"body too large"),
    ],
)
def test_a_text_longer_than_the_window_is_a_bad_row(reply: LabelReply) -> None:
    """By the runtime's code, by vLLM's parameter, or by size."""
    found = verdict(reply, 1)
    assert isinstance(found, Bad)
    assert found.code == "too_long"


def test_a_refused_text_is_a_bad_row() -> None:
    """With the engine's own words."""
    assert verdict(LabelReply(400, error("no such grammar")), 1) == Bad("refused", "no such grammar")


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_what_no_row_would_survive_stops_the_run(status: int) -> None:
    """Waiting would not help."""
    assert isinstance(verdict(LabelReply(status, error("no")), 1), StopRun)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_or_starting_runtime_is_waited_for_as_long_as_it_asks(status: int) -> None:
    """It is not the row's fault."""
    found = verdict(LabelReply(status, error("full"), 7.0), 3)
    assert isinstance(found, Wait)
    assert (found.seconds, found.maybe_row) == (7.0, False)


@pytest.mark.parametrize("status", [500, 502, 504, 529])
def test_a_failed_attempt_is_repeated_after_a_growing_wait(status: int) -> None:
    """It may be the row's fault."""
    first, third = verdict(LabelReply(status, b"<html>"), 1), verdict(LabelReply(status, b"<html>"), 3)
    assert isinstance(first, Wait)
    assert isinstance(third, Wait)
    assert first.seconds < third.seconds
    assert third.maybe_row


def test_no_reply_is_waited_for() -> None:
    """The runtime may be restarting."""
    found = verdict(LabelReply(None, b"refused"), 2)
    assert found == Wait(backoff(2), "refused")


@pytest.mark.parametrize(
    ("value", "seconds"), [("3", 3.0), ("0.5", 0.5), (None, None), ("soon", None), ("-1", None), ("inf", None)]
)
def test_retry_after_is_seconds_or_nothing(value: str | None, seconds: float | None) -> None:
    """Hearth sends seconds."""
    assert retry_after(value) == seconds
