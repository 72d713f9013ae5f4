"""Several models on one box, on real vLLM: each answers under its name, and two are swapped while requests come."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_models.weights.cache import cache_home
from runtime.trust.admin_key import local_admin_key
from tests.engine.encoder import encoder
from tests.engine.serving import PARIS, Serving, free_port, until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]

LABELLING = "Classify the sentiment of this review as positive or negative: I loved it."
START_S = 900.0
MODELS = """
[models.labels]
model = {labels}
tasks = ["extraction"]
share = 0.25

[models.vectors]
model = {vectors}
share = 0.2

[models.spare]
model = {spare}
load = "manual"
share = 0.25
"""


def copied(home: Path, to: Path, template: str) -> str:
    """The built-in model again, with another chat template."""
    shutil.copytree(home, to, copy_function=lambda source, target: Path(target).hardlink_to(source))
    for name in ("tokenizer_config.json", "chat_template.jinja"):
        (to / name).unlink(missing_ok=True)
    settings: dict[str, Any] = json.loads((home / "tokenizer_config.json").read_text())
    (to / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": template}))
    return json.dumps(str(to))


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("several")
    home = next(cache_home({}).glob("models/smollm2-135m-*"), None)
    if home is None:
        pytest.skip("the built-in model is not here: tests/engine/test_builtin_model.py fetches it")
    # Each answers a question of its template, whatever it was asked.
    template = "<|im_start|>user\nWhat is the capital of {}?<|im_end|>\n<|im_start|>assistant\n"
    labels = copied(home, folder / "labels", template.format("Italy"))
    spare = copied(home, folder / "spare", template.format("Spain"))
    more = MODELS.format(labels=labels, spare=spare, vectors=json.dumps(str(encoder())))
    served = Serving(folder, free_port(), hang_s=60.0, more=more)  # several engines share the cores
    try:
        served.wait_ready()
        yield served
    finally:
        served.end()


def states(serving: Serving) -> dict[str, str]:
    return {row["name"]: row["state"] for row in serving.http.get("/hearth/status").json()["models"]}


def swapped(serving: Serving, name: str, **wish: Any) -> Any:
    """The answer to the command of an admin."""
    key = {"authorization": f"Bearer {local_admin_key(serving.state)}"}
    answer = serving.http.post(f"/hearth/models/{name}/swap", json=wish, headers=key)
    assert answer.status_code == 200, answer.text
    return answer.json()


def text(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def test_each_model_answers_under_its_name(serving: Serving) -> None:
    """Chat by the engine's own, labels and vectors by theirs, all up at once in the memory that `fit` gives each."""
    until(
        lambda: states(serving)["local/labels"] == states(serving)["local/vectors"] == "ready",
        START_S,
        "both are ready",
    )
    assert states(serving)["local/spare"] == "absent"
    answer = serving.chat(PARIS, max_tokens=8)
    assert "Paris" in text(answer) and answer.headers["x-hearth-target"] == "local/smollm2-135m"
    answer = serving.chat(LABELLING, max_tokens=12)
    assert "Rome" in text(answer)
    assert (answer.headers["x-hearth-target"], answer.headers["x-hearth-reason"]) == ("local/labels", "task")
    assert "Rome" in text(serving.chat(PARIS, model="labels", max_tokens=12))
    made = serving.http.post("/v1/embeddings", json={"model": "auto", "input": "a cat"})
    assert made.status_code == 200 and made.headers["x-hearth-target"] == "local/vectors"
    assert len(made.json()["data"][0]["embedding"]) == 384


@pytest.mark.slow
def test_two_swaps_while_requests_come(serving: Serving) -> None:
    """There and back: every request is answered by its own model or, under `auto`, by one that is up; none is lost."""
    until(lambda: states(serving)["local/labels"] == "ready", START_S, "the first is ready")
    over = threading.Event()
    answers: list[httpx.Response] = []

    def client(number: int) -> None:
        while not over.is_set():
            asked = LABELLING if number % 2 else PARIS
            answers.append(serving.chat(asked, max_tokens=12))
            time.sleep(1)

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(client, number) for number in range(4)]
        try:
            for before, after in (("labels", "spare"), ("spare", "labels")):
                expected = {f"local/{before}": "absent", f"local/{after}": "ready"}
                assert f"local/{after}" in swapped(serving, before, to=after, dry=True)["words"]
                swapped(serving, before, to=after)
                until(lambda wanted=expected: wanted.items() <= states(serving).items(), START_S, f"{expected}")  # type: ignore[misc]
                word = "Madrid" if after == "spare" else "Rome"
                assert word in text(serving.chat(PARIS, model=after, max_tokens=12))
        finally:
            over.set()
        for each in clients:
            each.result()
    assert len(answers) >= 200
    words = {"local/smollm2-135m": "", "local/labels": "Rome", "local/spare": "Madrid"}
    for answer in answers:
        assert words[answer.headers["x-hearth-target"]] in text(answer)
