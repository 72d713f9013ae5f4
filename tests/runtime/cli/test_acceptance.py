"""The trial of a box: every outcome is reported, and each check can fail. The engine is a stand-in that is scripted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import msgspec
import pytest

from local_models.host.gpu import NoGpu
from runtime.cli.acceptance import trials
from runtime.cli.acceptance.outcome import (
    FAILED,
    NOT_MEASURED,
    PASSED,
    AcceptanceCheck,
    AcceptanceReport,
    NotMeasuredError,
    TrialFailedError,
    markdown,
    shown,
)
from runtime.cli.acceptance.rig import Rig
from runtime.cli.acceptance.run import acceptance, outcome
from runtime.cli.acceptance.stand_in import WORDS, StandInCloud
from runtime.cli.exits import CommandError
from runtime.settings.sections.engine import EngineSettings

Answer = Callable[[httpx.Request], httpx.Response]


def rig(answer: Answer) -> Rig:
    """One whose Hearth answers as the function does."""
    http = httpx.Client(base_url="http://hearth", transport=httpx.MockTransport(answer))

    def chat(model: str = "local", text: str = "?", **more: Any) -> httpx.Response:
        return http.post("/v1/chat/completions", json={"model": model, **more})

    return cast(Rig, SimpleNamespace(http=http, chat=chat, until=lambda condition, *_: condition()))


def whole(content: str, **more: Any) -> Answer:
    """Answers every chat of the box itself."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop", **more}
    body = {"choices": [choice], "usage": {"completion_tokens": 3}}
    return lambda _: httpx.Response(200, json=body, headers={"x-hearth-target": "local/m"})


def refused(status: int, message: str) -> Answer:
    return lambda _: httpx.Response(status, json={"error": {"message": message}})


def test_whatever_a_check_raises_is_its_outcome() -> None:
    """Not measured, failed, or a fault of the trial itself, which is a finding too."""

    def raising(error: Exception) -> Callable[[], trials.Seen]:
        def trial() -> trials.Seen:
            raise error

        return trial

    assert outcome("a", lambda: ("seen", {"x": 1})).verdict == PASSED
    assert outcome("b", raising(NotMeasuredError("no means"))).verdict == NOT_MEASURED
    assert outcome("c", raising(TrialFailedError("cut"))).verdict == FAILED
    strange = outcome("d", raising(KeyError("choices")))
    assert (strange.verdict, strange.words) == (FAILED, "KeyError: 'choices'")


def test_a_report_can_be_pasted_and_read_by_programs() -> None:
    """Failures stand out, a bar in a text breaks no table, and one failure is enough."""
    checks = (AcceptanceCheck("chat", PASSED, "a|b", {"ms": 1.23456}), AcceptanceCheck("end", FAILED, "left\nover"))
    report = AcceptanceReport("now", {"engine": "vLLM"}, checks)
    text = markdown(report)
    assert "| chat | passed | a\\|b. ms 1.23 | 0 |" in text
    assert "| end | **failed** | left over | 0 |" in text
    assert "1 passed, 1 failed, 0 not measured" in text
    assert not report.ok
    assert json.loads(msgspec.json.encode(report))["checks"][0]["figures"] == {"ms": 1.23456}


@pytest.mark.parametrize(
    ("value", "words"), [(None, "–"), (0.012345, "0.0123"), (12345.6, "12,346"), (7, "7"), ("x", "x")]
)
def test_figures_have_three_digits_that_count(value: float | str | None, words: str) -> None:
    """More would be noise."""
    assert shown(value) == words


def test_the_choice_must_be_of_the_list() -> None:
    """An engine that ignores the constraint fails."""
    assert trials.choice(rig(whole("positive")))[0] == "chose 'positive'"
    with pytest.raises(TrialFailedError, match="not of the list"):
        trials.choice(rig(whole("It is positive.")))


def test_a_model_without_tools_or_embeddings_is_not_a_failure() -> None:
    """The box's own words say why; any other error is one."""
    for trial in (trials.tool_call, trials.embeddings):
        with pytest.raises(NotMeasuredError, match="it has none"):
            trial(rig(refused(400, "it has none")))
        with pytest.raises(TrialFailedError, match="503"):
            trial(rig(refused(503, "starting")))


def test_log_probabilities_must_be_some() -> None:
    """None at all, or a probability above one, fails."""
    good = whole("a", logprobs={"content": [{"logprob": -0.5}]})
    assert trials.log_probabilities(rig(good))[1]["the first's"] == -0.5
    for content in ([], [{"logprob": 0.5}]):
        with pytest.raises(TrialFailedError):
            trials.log_probabilities(rig(whole("a", logprobs={"content": content})))


@pytest.mark.parametrize("tail", ["", 'data: {"error": {}}\n\n'])
def test_a_stream_without_its_closing_mark_fails(tail: str) -> None:
    """However many chunks came before."""
    text = 'data: {"choices": []}\n\n' * 3 + tail
    with pytest.raises(TrialFailedError, match="the stream ended with"):
        trials.stream(rig(lambda _: httpx.Response(200, text=text)))


def test_a_box_that_never_fills_is_not_measured() -> None:
    """And a request that fails in the rush is a failure."""
    with pytest.raises(NotMeasuredError, match="did not fill the box"):
        trials.spill(rig(whole("a")))
    with pytest.raises(TrialFailedError, match="requests failed"):
        trials.spill(rig(refused(500, "no")))


@pytest.fixture
def cloud() -> Iterator[StandInCloud]:
    with StandInCloud() as running:
        yield running


def test_the_stand_in_answers_whole_and_streamed(cloud: StandInCloud) -> None:
    """In the shape that a real server has."""
    url = f"http://127.0.0.1:{cloud.port}/v1/chat/completions"
    with httpx.Client(trust_env=False, timeout=30) as client:
        answer = client.post(url, json={"messages": []}).json()
        streamed = client.post(url, json={"messages": [], "stream": True}).text
    assert answer["choices"][0]["message"]["content"] == "".join(WORDS)
    assert streamed.endswith("data: [DONE]\n\n")


def test_a_trial_needs_an_engine_of_its_own(tmp_path: Path) -> None:
    """Not one that somebody else runs, and not none."""
    with pytest.raises(CommandError, match="url is set"):
        acceptance(EngineSettings(url=("http://127.0.0.1:1/v1",)), {}, NoGpu(), print)
    with pytest.raises(CommandError, match="hearth engine install"):
        acceptance(
            EngineSettings(device="cpu"), {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}, NoGpu(), print
        )
