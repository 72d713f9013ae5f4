"""Ray Serve LLM 2.60 with the CPU engine behind a real Hearth: attached as a pool, scaled by it, and taken down under it."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from scripts import scale
from tests.engine.serving import cloud, until
from tests.scale.cluster import AttachedServing, RayCluster, builtin_model

pytestmark = [pytest.mark.scale, pytest.mark.timeout(900)]

LEAST_GIB = 12  # of free memory: two replicas and Ray itself
DOWN_S = 15.0
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    environment, model = scale.ray(), builtin_model()
    if environment is None or model is None:
        pytest.skip("Ray, the CPU engine or its model is not installed: python -m scripts.scale says which")
    free_gib = psutil.virtual_memory().available / 2**30
    if free_gib < LEAST_GIB:
        pytest.skip(f"{free_gib:.0f} GiB of memory are free; Ray with two replicas needs {LEAST_GIB}")
    made = RayCluster(environment, tmp_path_factory.mktemp("ray"), model)
    try:
        began = time.monotonic()
        made.start()
        print(f"\nready after {time.monotonic() - began:.0f} s, {made.resident_gib():.1f} GiB resident")
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def hearth(cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttachedServing]:
    with cloud() as port, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN", cluster.token)
        served = AttachedServing(tmp_path_factory.mktemp("hearth"), port, cluster=cluster, autoscale={"mode": "act"})
        try:
            served.wait_ready()
            yield served
        finally:
            served.end()


def test_it_is_attached_as_a_pool(hearth: AttachedServing, cluster: RayCluster) -> None:
    """By the printed settings: its model and context are known, and Ray's dashboard counts one replica."""
    assert hearth.replica["max_model_len"] == 2048
    until(lambda: hearth.status()["autoscale"]["running"] == 1, 30, "Ray is asked", hearth.log)
    shown = hearth.status()["autoscale"]
    assert (shown["mode"], shown["target"], shown["wanted"], shown["trouble"]) == ("act", 1, 1, "")
    assert not [each for each in hearth.status()["not_in_force"] if "autoscale" in each]


def test_a_chat_a_stream_and_a_message_are_answered(hearth: AttachedServing) -> None:
    """In the clients' own wires, by the pool."""
    whole = hearth.chat(model="local")
    assert whole.status_code == 200 and whole.headers["x-hearth-target"].startswith("local/")
    assert whole.json()["choices"][0]["message"]["content"]
    body: dict[str, Any] = {"model": "local", "max_tokens": 12, "messages": [{"role": "user", "content": "Hello."}]}
    streamed = hearth.http.post("/v1/chat/completions", json=body | {"stream": True})
    assert streamed.text.rstrip().endswith("data: [DONE]") and streamed.text.count('"delta"') > 3
    message = hearth.http.post("/v1/messages", json=body, headers={"anthropic-version": "2023-06-01"})
    assert message.json()["type"] == "message" and message.json()["usage"]["output_tokens"] > 0
    counted = hearth.http.post("/v1/messages/count_tokens", json={key: body[key] for key in ("model", "messages")})
    assert counted.json()["input_tokens"] > 0


def test_a_tool_is_called(hearth: AttachedServing, cluster: RayCluster) -> None:
    """A named one, with the very arguments that the pool gives whoever asks it directly."""
    choice = {"type": "function", "function": {"name": "get_weather"}}
    body = {
        "temperature": 0,
        "max_tokens": 60,
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
        "tools": [TOOL],
        "tool_choice": choice,
    }
    found = []
    for url, model in ((hearth.url, "local"), (f"http://127.0.0.1:{cluster.port}", hearth.replica["models"][0])):
        answer = hearth.http.post(f"{url}/v1/chat/completions", json=body | {"model": model})
        assert answer.status_code == 200, answer.text
        (call,) = answer.json()["choices"][0]["message"]["tool_calls"]
        found.append(call["function"])
    assert found[0] == found[1] and found[0]["name"] == "get_weather"
    print(f"\n{found[0]['arguments']}")


def test_an_abort_frees_its_slot(hearth: AttachedServing) -> None:
    """Seen at the gauges of Ray's metrics agent, some seconds late: the engine stops long before the answer would end."""
    with hearth.long_stream(max_tokens=1800) as stream:
        for _ in zip(range(4), stream.iter_lines(), strict=False):
            pass
        until(lambda: hearth.replica["running"] == 1, 30, "the gauge shows it", hearth.log)
    until(lambda: hearth.replica["in_flight"] == 0, 5, "it is out of the ledger", hearth.log)
    until(lambda: hearth.replica["running"] == 0, 30, "the gauge shows its end", hearth.log)


def test_a_busy_pool_is_not_taken_for_a_hanging_one(hearth: AttachedServing) -> None:
    """Twice as many long answers as it has slots, and no restart."""
    body = {
        "model": "local",
        "max_tokens": 150,
        "ignore_eos": True,
        "messages": [{"role": "user", "content": "Count."}],
    }
    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(hearth.http.post, "/v1/chat/completions", json=body) for _ in range(16)]
        while not all(each.done() for each in answers):
            assert hearth.replica["state"] == "ready"
            time.sleep(0.5)
    assert [each.result().status_code for each in answers] == [200] * 16
    assert hearth.replica["restarts"] == 0 and hearth.replica["cause"] is None


def test_hearth_sets_the_number_of_replicas(hearth: AttachedServing, cluster: RayCluster) -> None:
    """One becomes two by the external scaler of Ray's own dashboard, after a reload that asks for two at least."""
    text = hearth.config.read_text()
    assert "\nmin = 1\n" in text
    hearth.config.write_text(text.replace("\nmin = 1\n", "\nmin = 2\n"))
    hearth.process.send_signal(signal.SIGHUP)
    began = time.monotonic()
    until(lambda: hearth.status()["autoscale"]["target"] == 2, 60, "two are asked for", hearth.log)
    until(lambda: hearth.status()["autoscale"]["running"] == 2, 400, "two run", hearth.log)
    print(f"\nthe second replica ran after {time.monotonic() - began:.0f} s, {cluster.resident_gib():.1f} GiB resident")
    assert hearth.status()["autoscale"]["trouble"] == "" and hearth.chat(model="local").status_code == 200


def test_with_the_head_gone_the_cloud_bridges(hearth: AttachedServing, cluster: RayCluster) -> None:
    """SIGKILL of gcs_server: the pool is down within fifteen seconds, and no request fails for it."""
    cluster.kill_gcs()
    began = time.monotonic()
    answers = []

    def down() -> bool:
        answers.append(hearth.chat())
        return bool(hearth.replica["state"] != "ready")

    until(down, DOWN_S, "the pool is down", hearth.log)
    print(f"\ndown after {time.monotonic() - began:.1f} s")
    assert [each.status_code for each in answers] == [200] * len(answers)
    assert hearth.chat().headers["x-hearth-target"] == "openai/stand-in"
    until(lambda: "cannot be asked" in hearth.status()["autoscale"]["trouble"], 60, "Ray is away", hearth.log)


def test_nothing_of_it_is_left(cluster: RayCluster) -> None:
    """Neither a process of its session nor a token in the user's home."""
    cluster.end()
    assert cluster.processes() == []
    assert cluster.token not in _token_of_the_user()


def _token_of_the_user() -> str:
    with contextlib.suppress(OSError):
        return (Path.home() / ".ray" / "auth_token").read_text()
    return ""
