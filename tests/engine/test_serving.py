"""The main job through the door, on real vLLM: answers, streams, saturation, and every fault of the engine survived.

One `hearth serve` (conftest.py) lives through the tests in their order.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import openai
import psutil
import pytest

from local_models.replica import telemetry
from runtime.compose.confidence import maps_folder, revision_served, write_map
from runtime.life import words
from runtime.life.opinion import LABELS, question, read_opinion
from runtime.settings import load
from scripts.personal.measure import HELD, labelled
from tests.engine.serving import LONG, PARIS, ROOT, Serving, burst, until
from tests.fakes.sureness import BY_MEAN

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]


def _generated(serving: Serving) -> int:
    """Tokens the engine itself says it has generated; its gauges of running requests are late, its counters are not."""
    socket_path = serving.replica["address"]
    with httpx.Client(transport=httpx.HTTPTransport(uds=socket_path), base_url="http://engine") as client:
        heard = telemetry.parse(client.get("/metrics").text, 0.0)
        assert heard is not None
        return heard.generation_tokens


def test_paris_through_the_openai_sdk(serving: Serving) -> None:
    """The first answer of a fresh machine, whole and streamed."""
    with openai.OpenAI(base_url=f"{serving.url}/v1", api_key="none", max_retries=0) as client:
        ask: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": PARIS}]
        answer = client.chat.completions.create(model="auto", messages=ask, temperature=0, max_tokens=24)
        assert "Paris" in (answer.choices[0].message.content or "")
        assert answer.usage is not None and answer.usage.prompt_tokens > 10
        stream = client.chat.completions.create(model="local", messages=ask, temperature=0, max_tokens=24, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        assert "Paris" in text
        assert "smollm2-135m" in [model.id.removeprefix("local/") for model in client.models.list()]


def test_completions_and_what_the_model_cannot(serving: Serving) -> None:
    """The plain wire works too; embeddings are refused with a reason."""
    body = {"model": "local", "prompt": "The capital of France is", "max_tokens": 4, "temperature": 0}
    assert "Paris" in serving.http.post("/v1/completions", json=body).json()["choices"][0]["text"]
    refused = serving.http.post("/v1/embeddings", json={"model": "local", "input": "x"})
    assert refused.status_code == 400 and refused.json()["error"]["code"] == "unsupported"


def test_usage_is_metered_although_the_client_did_not_ask(serving: Serving) -> None:
    """The record has the tokens; the stream does not show them."""
    answer = serving.chat(model="local", stream=True)
    assert '"usage":{' not in answer.text and answer.text.endswith("data: [DONE]\n\n")
    decision = serving.http.get(f"/hearth/decisions/{answer.headers['x-hearth-decision']}").json()
    assert decision["prompt_tokens"] > 10 and decision["completion_tokens"] > 1


@pytest.mark.parametrize("stream", [True, False])
def test_an_unsure_answer_leaves_and_a_sure_one_stays(serving: Serving, stream: bool) -> None:
    """By maps that find every answer wrong, or right: real log probabilities, a real engine that is stopped, a live map."""
    settings = load(serving.config, {}).settings
    revision = revision_served(settings, os.environ)
    before, judged = serving.config.read_text(), "[escalation]\nconfidence = 0.5\ncomplexity = 1\n"
    serving.config.write_text(before.replace("[escalation]\n", judged))
    try:
        for share, target in ((0.0, "openai/stand-in"), (1.0, "local/smollm2-135m")):
            known = msgspec.structs.replace(BY_MEAN, model=settings.engine.model, revision=revision)
            write_map(msgspec.structs.replace(known, scores=(0.0,), shares=(share,)), serving.state)

            def answered(target: str = target) -> bool:
                answer = serving.chat("Who was the first to climb it?", stream=stream)
                assert answer.status_code == 200 and "top_logprobs" not in answer.text
                return answer.headers["x-hearth-target"] == target

            until(answered, 30, f"{target} answers")
        write_map(msgspec.structs.replace(known, scores=(0.0,), shares=(0.0,)), serving.state)
        until(lambda: not answered(), 30, "the answer leaves again")
        answer = serving.chat("Tell me a long story.", stream=stream, max_tokens=1500, ignore_eos=True)
        assert answer.headers["x-hearth-reason"] == "confidence"
        time.sleep(1)
        generated = _generated(serving)
        time.sleep(1)
        assert _generated(serving) == generated
        attempts = serving.http.get(f"/hearth/decisions/{answer.headers['x-hearth-decision']}").json()["attempts"]
        assert [each["outcome"] for each in attempts] == ["unsure", "ok"]
        assert 1 <= attempts[0]["completion_tokens"] < 100  # as many as came within `confidence_wait_ms`
    finally:
        serving.config.write_text(before)
        for file in maps_folder(serving.state).glob("*.json"):
            file.unlink()


def test_the_engine_is_asked_for_names_in_what_is_about_to_leave(serving: Serving) -> None:
    """One token of four labels, in time or not looked into; how well the tiny model does it is printed, and is not good."""
    texts = [row for row in labelled() if row.kind in ("name", "health") or (not row.kind and row.half == HELD)][::4]
    right = 0
    for row in texts:
        asked = serving.http.post("/v1/chat/completions", content=words.question(row.text).raw)
        assert asked.json()["usage"]["completion_tokens"] == 1
        found = words.read_label(asked.content)
        assert found <= {"name", "health"}, asked.text
        right += (row.kind in found) if row.kind else not found
    print(f"the built-in model labels {right} of {len(texts)} texts rightly")

    before, text = serving.config.read_text(), "Maria Kowalska began her second round of chemotherapy."

    def leaving(**settings: str) -> tuple[int, list[str]]:
        """Status and kinds of a request to the cloud, once the settings are in force."""
        lines = "".join(f"{key} = {value}\n" for key, value in settings.items())
        serving.config.write_text(f'{before}\n[privacy]\nnames = "engine"\n{lines}')
        until(lambda: serving.status()["settings"]["reloaded_at"] != reloaded, 30, "the settings are in force")
        answer = serving.chat(text, model="cloud")
        decision = serving.http.get(f"/hearth/decisions/{answer.headers['x-hearth-decision']}").json()
        return answer.status_code, decision["personal"]

    try:
        reloaded = serving.status()["settings"]["reloaded_at"]
        status, kinds = leaving(detect='"warn"', names_within="60")
        assert status == 200 and set(kinds) <= {"name", "health"}
        reloaded = serving.status()["settings"]["reloaded_at"]
        assert leaving(detect='"warn"', names_within="0.001") == (200, ["unread"])
        reloaded = serving.status()["settings"]["reloaded_at"]
        assert leaving(detect='"enforce"', names_within="0.001") == (403, ["unread"])
    finally:
        serving.config.write_text(before)


def test_the_engine_is_asked_for_its_opinion_near_the_threshold(serving: Serving) -> None:
    """One token of two labels, with log probabilities that show both; the settings take it in without a restart."""
    asked = serving.http.post("/v1/chat/completions", content=question(PARIS).raw)
    opinion = read_opinion(asked.content)
    assert opinion is not None and 0 < opinion < 1 and asked.json()["usage"]["completion_tokens"] == 1
    assert any(label.startswith(asked.json()["choices"][0]["message"]["content"].strip()) for label in LABELS)
    score = serving.http.post("/hearth/explain", json={"messages": [{"role": "user", "content": PARIS}]}).json()[
        "score"
    ]
    before = serving.config.read_text()
    near = f'[escalation]\nclassifier = "engine"\ncomplexity = {score + 0.05:.4f}\n'
    serving.config.write_text(before.replace("[escalation]\n", near))
    try:

        def judged() -> bool:
            answer = serving.chat()
            decision = serving.http.get(f"/hearth/decisions/{answer.headers['x-hearth-decision']}").json()
            exchange, opinion = decision["judged"], decision["kept"].get("opinion")
            assert exchange is None or (exchange["outcome"] == "ok") is (opinion is not None)  # late on a busy machine
            assert opinion is None or (decision["reason"] == "complexity") is (opinion >= 0.5)
            return opinion is not None

        until(judged, 60, "an opinion came in time")
    finally:
        serving.config.write_text(before)


def test_a_context_too_long_is_told_in_words(serving: Serving) -> None:
    """Pinned to the engine there is no larger window: the caller's own error."""
    answer = serving.chat("word " * 12_000, model="local")
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_the_slot_within_a_second(serving: Serving, stream: bool) -> None:
    """The engine's own count of generated tokens stands still from then on."""
    body = {"model": "local", "max_tokens": 1500, "ignore_eos": True, "stream": stream}
    body |= {"messages": [{"role": "user", "content": "Tell me a long story."}]}
    before = _generated(serving)
    with contextlib.suppress(httpx.ReadTimeout), httpx.Client(base_url=serving.url, timeout=4) as client:
        if stream:
            with client.stream("POST", "/v1/chat/completions", json=body):
                until(lambda: _generated(serving) > before + 5, 30, "the engine generates")
        else:
            client.post("/v1/chat/completions", json=body)
    time.sleep(1.0)  # the second it has
    then = _generated(serving)
    assert then > before
    time.sleep(2.0)  # in which a request still running would generate dozens of tokens
    assert _generated(serving) == then
    until(lambda: serving.status()["in_flight"] == 0, 2, "nothing is in flight")


def test_a_burst_leaves_past_the_threshold_and_comes_back(serving: Serving) -> None:
    """Once three wait for a first token the rest goes to the cloud and says why; afterwards requests stay local again."""
    answers = asyncio.run(burst(serving.url, 16))
    assert all(answer.status_code == 200 for answer in answers)
    reasons = [answer.headers["x-hearth-reason"] for answer in answers]
    targets = [answer.headers["x-hearth-target"] for answer in answers]
    assert 3 <= targets.count("local/smollm2-135m") <= 6 and reasons.count("queue_depth") >= 10
    away = next(answer for answer in answers if answer.headers["x-hearth-reason"] == "queue_depth")
    decision = serving.http.get(f"/hearth/decisions/{away.headers['x-hearth-decision']}").json()
    assert "wait" in decision["words"] and "the threshold is 3" in decision["words"]
    assert serving.chat().headers["x-hearth-target"] == "local/smollm2-135m"


def test_under_steady_overload_it_does_not_flap(serving: Serving) -> None:
    """Once over, requests leave until the queue is below the release point: few changes of side in a long row."""

    async def flood() -> list[str]:
        sides: list[str] = []
        async with httpx.AsyncClient(base_url=serving.url, timeout=300) as client:
            body = {
                "model": "auto",
                "max_tokens": 24,
                "ignore_eos": True,
                "messages": [{"role": "user", "content": "Count."}],
            }

            async def one() -> None:
                answer = await client.post("/v1/chat/completions", json=body)
                sides.append(answer.headers["x-hearth-target"].partition("/")[0])

            asking = []
            for _ in range(60):
                asking.append(asyncio.create_task(one()))
                await asyncio.sleep(0.05)
            await asyncio.gather(*asking)
        return sides

    asyncio.run(flood())
    rows = serving.http.get("/hearth/decisions?limit=60").json()["data"]
    order = [row["target"].partition("/")[0] for row in sorted(rows, key=lambda row: row["at"])]
    changes = sum(a != b for a, b in itertools.pairwise(order))
    assert {"local", "openai"} <= set(order)
    assert changes <= 24, order


def test_explain_live_says_why(serving: Serving) -> None:
    """While the engine is saturated, the command says where a prompt would go and why in words."""
    command = [sys.executable, "-m", "runtime.cli", "explain", "hello", "--live", "--config", str(serving.config)]

    async def ask() -> str:
        async def fill() -> None:
            # Streams: what waits for a first token is then seen, not inferred from the time a whole answer takes.
            while True:
                await burst(serving.url, 1, max_tokens=1500, model="local", stream=True)

        # As long as the command takes to start, be it longer than all these answers.
        filling = [asyncio.create_task(fill()) for _ in range(8)]
        try:
            await asyncio.to_thread(until, lambda: serving.status()["in_flight"] == 8, 30, "eight are in flight")
            told = await asyncio.to_thread(
                subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=True
            )
        finally:
            for each in filling:
                each.cancel()
            ended = await asyncio.gather(*filling, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended
        return told.stdout

    said = asyncio.run(ask())
    assert "queue_depth" in said and "the threshold is 3" in said
    until(lambda: serving.status()["in_flight"] == 0, 5, "those that went away are gone")


def test_what_is_pinned_waits_its_turn(serving: Serving) -> None:
    """Six long answers on two slots: the last ones wait for longer than `first_token`, and every one is whole."""
    answers = asyncio.run(burst(serving.url, 6, max_tokens=LONG, model="local", stream=True))
    assert [each.status_code for each in answers] == [200] * 6, [each.text[-300:] for each in answers]
    cut = [
        each.text[-300:] for each in answers if '"error":' in each.text or not each.text.endswith("data: [DONE]\n\n")
    ]
    assert not cut, cut
    rows = serving.http.get("/hearth/decisions?limit=6").json()["data"]
    print("first tokens after", sorted(round(row["ttft_ms"] / 1000, 1) for row in rows), "s")
    whole = [serving.http.get(f"/hearth/decisions/{row['id']}").json() for row in rows]
    predicted = sorted(each["kept"]["engine"]["predicted_ttft_s"] for each in whole)
    # Two run at once: the sixth waits for three more answers than the third, and not for three prompts alone.
    assert predicted[5] - predicted[2] > 6 * predicted[0], predicted


FAULTS: dict[str, tuple[Callable[[Serving], int], signal.Signals, str]] = {
    "the engine core is killed": (Serving.core, signal.SIGKILL, "engine core"),
    "the engine core hangs": (Serving.core, signal.SIGSTOP, "hung: no sign of life"),
    "the API server is killed": (Serving.front, signal.SIGKILL, "killed by signal 9"),
}


# The restarted engine cannot take an answer over that had to keep to a schema.
BOUND = {
    "type": "json_schema",
    "json_schema": {"name": "x", "schema": {"type": "array", "items": {"type": "string"}}},
}


class Reader:
    """Reads a stream on, in a thread, from its first content."""

    def __init__(self, stream: httpx.Response) -> None:
        self.rest: list[str] = []
        lines = stream.iter_lines()
        while "content" not in next(lines):
            pass
        self._thread = threading.Thread(target=lambda: self.rest.extend(lines))
        self._thread.start()

    def ended(self) -> list[str]:
        self._thread.join(120)
        assert not self._thread.is_alive(), "the client was left hanging"
        return self.rest


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_engine_mid_stream(serving: Serving, fault: str) -> None:
    """Answers keep coming from the cloud, the engine comes back by itself, and goes on with what it had begun, if it can."""
    find, number, cause = FAULTS[fault]
    victim, run, before = find(serving), [serving.front(), serving.core()], serving.replica["restarts"]
    with serving.long_stream() as stream, serving.long_stream(response_format=BOUND) as bound:
        reading, reading_bound = Reader(stream), Reader(bound)
        os.kill(victim, number)
        until(lambda: serving.replica["state"] != "ready", 60, "the fault is noticed")
        bridged = serving.chat()
        assert bridged.status_code == 200 and bridged.headers["x-hearth-reason"] == "engine_down"
        assert bridged.headers["x-hearth-target"] == "openai/stand-in"
        pinned = serving.chat(model="local")
        assert pinned.status_code == 503 and float(pinned.headers["retry-after"]) >= 1
        assert serving.http.get("/health/ready").status_code == 200
        serving.wait_back(before)
        assert not any(map(psutil.pid_exists, run)) and cause in serving.replica["cause"]
        rest, cut = reading.ended(), "\n".join(reading_bound.ended())
        decision = serving.http.get(f"/hearth/decisions/{stream.headers['x-hearth-decision']}").json()
    # Gone on with by the restarted engine: whole, and said so. Never a cut answer as a whole one.
    assert rest[-2:] == ["data: [DONE]", ""] and decision["finish"] == "length" and "resumed" in decision["degraded"]
    assert 0.9 * LONG <= decision["completion_tokens"] <= 1.1 * LONG  # a chunk may hold more than one token
    assert [row["outcome"] for row in decision["attempts"]][-1] == "ok"
    assert "[DONE]" not in cut and '"error"' in cut and "not whole" in cut
    answer = serving.chat()
    assert answer.headers["x-hearth-target"] == "local/smollm2-135m" and "Paris" in answer.text


def test_hearth_itself_is_killed_and_the_next_start_cleans_up(serving: Serving) -> None:
    """What the dead one left is swept by its successor, and by nobody else."""
    left = [serving.front(), serving.core()]
    os.kill(serving.process.pid, signal.SIGKILL)
    serving.process.wait()
    assert all(map(psutil.pid_exists, left))
    serving.start_again()
    serving.wait_ready()
    assert not any(map(psutil.pid_exists, left))
    log = serving.log.read_text()
    assert "that a dead Hearth" in log and "removed the socket a dead engine left" in log
    assert "Paris" in serving.chat(model="local").text


def test_a_second_hearth_on_the_same_state_folder_is_refused(serving: Serving) -> None:
    """It says who holds it and what to do, and harms nothing."""
    env = os.environ | {"HEARTH_STATE_DIR": str(serving.state), "HEARTH_SERVER__PORT": "0"}
    command = [sys.executable, "-m", "runtime.cli", "serve", "--config", str(serving.config)]
    told = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode != 0 and str(serving.process.pid) in told.stderr and "HEARTH_STATE_DIR" in told.stderr
    assert "Paris" in serving.chat(model="local").text


def test_sigterm_with_a_stream_open_ends_everything(serving: Serving) -> None:
    """The stream is ended with an error at the drain's deadline, the process ends well, and nothing is left."""
    front, core = serving.front(), serving.core()
    with serving.long_stream() as stream:
        lines = stream.iter_lines()
        while "content" not in next(lines):
            pass
        serving.process.send_signal(signal.SIGTERM)
        rest = "\n".join(lines)
    assert "[DONE]" not in rest and "shut down" in rest
    assert serving.process.wait(60) == 0
    serving.none_left()
    assert not psutil.pid_exists(front) and not psutil.pid_exists(core)


def test_a_bad_flag_is_told_and_not_retried(tmp_path: Path, cloud_port: int) -> None:
    """The cause is in the status in words, the cloud answers, and no restart storm begins."""
    served = Serving(tmp_path, cloud_port, args=("--no-such-flag",))
    try:
        until(lambda: _state(served) == "given_up", 180, "the engine is given up", served.log)
        assert "--no-such-flag" in served.replica["cause"] and served.replica["restarts"] == 0
        assert served.chat().headers["x-hearth-target"] == "openai/stand-in"
        assert served.chat(model="local").status_code == 503
        said = json.loads(served.http.get("/health/ready").text)
        assert "--no-such-flag" in said["engine"]["replica-0"]["cause"]
    finally:
        served.end()


def _state(served: Serving) -> str | None:
    with contextlib.suppress(httpx.TransportError):
        return str(served.replica["state"])
    return None
