"""`hearth classify` through a real runtime on real vLLM: every row once through a SIGKILL, and probabilities that are true.

CLASSIFY_ROWS in the environment says how many rows are classified; the acceptance is 2,000.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_models.classification.question import Prompt
from local_models.replica import environment

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]

ROOT = Path(__file__).resolve().parents[2]
ROWS = int(os.environ.get("CLASSIFY_ROWS", "200"))
SHORT = 200  # characters kept of a prompt
START_S = 400.0
TOPICS = ("mathematics", "writing", "programming", "knowledge")
CLOSE = 0.005  # a batch of other rows moves the last digits


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """A process for each core that never rests."""
    burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty place for what torch compiles, so that nothing is compiled before."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, compiled: Path) -> Iterator[str]:
    """A runtime of its own, on its own engine and port, started while all cores are busy; gone afterwards."""
    found = environment.find_engine("cpu", (), None, env=os.environ)
    if isinstance(found, environment.NotFound):
        pytest.skip(found.reason)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    state = str(tmp_path_factory.mktemp("state"))
    env = {**os.environ, "HEARTH_STATE_DIR": state, "HEARTH_SERVER__PORT": str(port), "HEARTH_ENGINE__DEVICE": "cpu"}
    env["HEARTH_ENGINE__ARGS"] = '["--dtype", "float32"]'  # several times faster where the CPU has no bfloat16
    env["TORCHINDUCTOR_CACHE_DIR"] = str(compiled)
    child = subprocess.Popen([sys.executable, "-m", "runtime.cli", "serve"], cwd=ROOT, env=env, stderr=sys.stderr)
    try:
        with busy():
            _ready(f"http://127.0.0.1:{port}", child)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(60)
        finally:
            child.kill()


def _ready(url: str, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert child.poll() is None, "hearth serve ended while its engine was starting"
        try:
            if httpx.get(f"{url}/health/ready", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    pytest.fail(f"the runtime was not ready within {START_S} s")


@pytest.fixture(scope="module")
def rows(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real prompts, cut short."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    files = [shared / "routing" / f"{name}_open.jsonl" for name in ("alpacaeval", "mtbench", "gsm8k", "ulab_train")]
    texts = itertools.chain.from_iterable(file.read_text(encoding="utf-8").splitlines() for file in files)
    kept = [json.loads(text) for text in itertools.islice(texts, ROWS)]
    assert len(kept) == ROWS
    path.write_text("".join(json.dumps({"id": row["id"], "prompt": row["prompt"][:SHORT]}) + "\n" for row in kept))
    return path


def command(url: str, rows: Path, out: Path, labels: tuple[str, ...] = TOPICS) -> list[str]:
    named = [part for label in labels for part in ("--label", label)]
    return [sys.executable, "-m", "runtime.cli", "classify", str(rows), *named, "-o", str(out), "--url", url, "--json"]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_first_log_probabilities_compile_under_load_and_no_engine_is_killed(
    url: str, compiled: Path, tmp_path: Path
) -> None:
    """Compilers that other programs leave little time are work, not a hang: the first run lives, and classifies."""
    few = tmp_path / "few.jsonl"
    few.write_text('{"prompt": "I love it."}\n{"prompt": "The handle broke."}\n')
    with busy():
        subprocess.run(command(url, few, tmp_path / "out.jsonl", ("good", "bad")), cwd=ROOT, check=True)
    assert [set(line["probabilities"]) for line in lines(tmp_path / "out.jsonl")] == [{"good", "bad"}] * 2
    (replica,) = httpx.get(f"{url}/hearth/status", timeout=30).json()["engine"]["replicas"]
    assert (replica["state"], replica["restarts"], replica["cause"]) == ("ready", 0, None)
    assert any(compiled.rglob("*.so")), "nothing was compiled, and nothing proved"


def test_every_row_stands_once_after_a_sigkill_and_a_torn_line(url: str, rows: Path, tmp_path: Path) -> None:
    """Killed with rows in flight, its last line torn, its input changed and changed back."""
    out = tmp_path / "out.jsonl"
    child = subprocess.Popen(command(url, rows, out), cwd=ROOT)
    while not out.exists() or out.read_bytes().count(b"\n") < ROWS // 3:
        assert child.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)
    child.kill()
    child.wait()
    before = lines(out)
    with out.open("ab") as file:
        file.write(json.dumps({**before[-1], "row": len(before) + 1}).encode()[:-20])

    text = rows.read_text()
    rows.write_text(text.replace(" the ", " thy ", 1))
    refused = subprocess.run(command(url, rows, out), cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "is not what it was" in refused.stderr
    rows.write_text(text)

    ended = subprocess.run(command(url, rows, out), cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    summary = json.loads(ended.stdout)
    print(summary)
    assert summary["done_before"] == len(before)
    found = lines(out)
    assert found[: len(before)] == before
    assert [line["row"] for line in found] == list(range(1, ROWS + 1))
    assert [line["id"] for line in found] == [row["id"] for row in lines(rows)]
    for line in found:
        assert tuple(line["probabilities"]) == TOPICS
        assert sum(line["probabilities"].values()) == pytest.approx(1.0, abs=1e-6)
        assert line["label"] == max(TOPICS, key=line["probabilities"].__getitem__)


@pytest.mark.parametrize(
    "labels",
    [
        ("negative", "neutral", "positive"),
        ("New York", "New Jersey", "Newark", "Boston"),
        ("spam", "spam-like", "ham"),
        ("größer", "grün", "Ärger"),
        ("正面", "负面", "中性"),
        ("north", "northeast", "northwest", "south", "southeast", "southwest", "east", "west", "up", "down"),
    ],
)
def test_probabilities_agree_with_every_labels_own_tokens(
    url: str, rows: Path, tmp_path: Path, labels: tuple[str, ...]
) -> None:
    """Each label is put behind the prompt and its tokens' probabilities are read there, unconstrained, one label at a time."""
    few, out = tmp_path / "few.jsonl", tmp_path / "out.jsonl"
    few.write_text("".join(rows.read_text().splitlines(keepends=True)[:6]))
    subprocess.run([*command(url, few, out, labels), "--tolerance", "0"], cwd=ROOT, check=True)
    for row, line in zip(lines(few), lines(out), strict=True):
        sequences = {label: _sequence(url, Prompt(labels).messages(row["prompt"]), label) for label in labels}
        wanted = _along_the_tree(sequences)
        print(line["probabilities"], wanted, line["coverage"])
        assert line["probabilities"] == pytest.approx(wanted, abs=CLOSE)
        assert sum(line["probabilities"].values()) == pytest.approx(1.0, abs=1e-6)


Sequence = tuple[tuple[str, float], ...]  # ids of a label's tokens and of the end, each with its unconstrained logprob


def _sequence(url: str, messages: list[dict[str, str]], label: str) -> Sequence:
    body = {
        "model": "local",
        "messages": [*messages, {"role": "assistant", "content": label}],
        "add_generation_prompt": False,
        "max_tokens": 1,
        "prompt_logprobs": 1,
    }
    reply = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=120)
    assert reply.status_code == 200, reply.text
    listed = [next(iter(entry.items())) for entry in reply.json()["prompt_logprobs"][1:]]
    texts = [entry["decoded_token"] for _, entry in listed]
    end = max(at for at, text in enumerate(texts) if text == "<|im_end|>")
    start = next(at for at in range(end, 0, -1) if texts[at - 1] == "\n")
    return tuple((token, entry["logprob"]) for token, entry in listed[start : end + 1])


def _along_the_tree(sequences: dict[str, Sequence]) -> dict[str, float]:
    """The chain rule over the labels' tokens: at every step the share of the token among those that lead to a label."""
    found = {}
    for label, tokens in sequences.items():
        share = 1.0
        for depth, (_, logprob) in enumerate(tokens):
            path = [token for token, _ in tokens[:depth]]
            nexts = dict(s[depth] for s in sequences.values() if [token for token, _ in s[:depth]] == path)
            share *= math.exp(logprob) / sum(math.exp(value) for value in nexts.values())
        found[label] = share
    return found
