"""An independent server of faults plays three vendors, and judges how Hearth takes them: `llmock`, at a pinned version.

It groups the attempts at one call by their body and knows when each ended, so it sees a Retry-After that was not waited
out, a refusal that was asked again, a storm, a repeat without a back-off, a cut answer that was taken for whole.
What it cannot see is what Hearth tells its client: that is asserted here.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from scripts import apart
from scripts.bench.processes import Running, free_port
from tests.conftest import foreign

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

WIRES = {
    "openai": ("gpt-4o", "/v1"),
    "anthropic": ("claude-haiku-4-5", "/anthropic"),
    "gemini": ("gemini-2.5-flash", "/gemini"),
}
_KEY = "faults-key"
_IDLE_S = 1.0
_HEAD = """
[server]
port = {port}
keys = ["env:HEARTH_API_KEY"]
[engine]
model = "scripted"
url = ["{engine}/v1"]
[retries]
attempts = 4
[timeouts]
first_token = 2
idle = 1
"""
_TARGET = """
[targets.{name}]
provider = "{provider}"
model = "{model}"
base_url = "{url}"
key = "env:VENDOR_KEY"
"""

Json = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """behaviors: what is queued. told: the status the client gets; 200: a whole answer all the same. tries: seen upstream."""

    name: str
    behaviors: tuple[Json, ...]
    tries: int
    told: int = 200


def fails(status: int, times: int | None = 1, **more: Any) -> Json:
    return {"type": "fail", "status": status, "times": times, **more}


def breaks(kind: str, after: int, **more: Any) -> Json:
    return {"type": "stream_fault", "kind": kind, "after_chunks": after, **more}


STORY = " ".join(f"word{number}" for number in range(40))
_LATE = 4  # chunks, of which on every wire some are content

PASSING = (
    Fault("none", ({"type": "delay", "seconds": 0.0},), 1),
    Fault("busy-told", (fails(429, retry_after=0.6),), 2),
    Fault("busy-told-twice", (fails(429, 2, retry_after=0.4),), 3),
    Fault("busy", (fails(429),), 2),
    Fault("unavailable-told", (fails(503, retry_after=0.5),), 2),
    *(Fault(f"down-{status}", (fails(status),), 2) for status in (500, 502, 503, 504, 529)),
    Fault("down-thrice", (fails(503, 3),), 4),
    Fault("slow", ({"type": "delay", "seconds": 0.5},), 1),
    Fault("slow-first-token", ({"type": "slow_first_token", "seconds": 0.8},), 1),
)
# Told to a client that waits for the whole answer as if nothing had been; so, before its first content, to any other.
CUTS = tuple(
    Fault(f"{kind}-{after}", (breaks(kind, after),), 2)
    for kind in ("disconnect", "truncate", "malformed")
    for after in (0, _LATE)
)
FINAL = tuple(Fault(f"refused-{status}", (fails(status, None),), 1, status) for status in (400, 401, 403, 404, 422))
LASTING = (
    Fault("outage", (fails(503, None),), 4, told=503),
    Fault("spent", (fails(429, None, retry_after=0.2),), 4, 429),
)
EVERY = (*PASSING, *CUTS, *FINAL, *LASTING)


@dataclass(frozen=True)
class Place:
    """Hearth, and the vendors behind it."""

    url: str
    vendors: str

    def queue(self, *behaviors: Json) -> None:
        """From now on these, and nothing that was before."""
        _post(f"{self.vendors}/_llmock/reset", {})
        reply = {"type": "reply", "text": STORY, "times": None}
        _post(f"{self.vendors}/_llmock/scenario", {"behaviors": [*behaviors, reply]})

    def verdict(self) -> Json:
        return _get(f"{self.vendors}/_llmock/verdict")

    def ask(self, model: str, **more: Any) -> tuple[int, str]:
        body = {"model": model, "messages": [{"role": "user", "content": f"Tell {model} a long story"}], **more}
        return _post(f"{self.url}/v1/chat/completions", body)


def _post(url: str, body: Json) -> tuple[int, str]:
    headers = {"content-type": "application/json", "authorization": f"Bearer {_KEY}"}
    call = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(call, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def _get(url: str) -> Json:
    with urllib.request.urlopen(url, timeout=30) as answer:
        found: Json = json.load(answer)
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One Hearth; a target for every case, so that no case finds another's breaker open."""
    folder = tmp_path_factory.mktemp("faults")
    vendors, engine, port = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    settings = [_HEAD.format(port=port.rpartition(":")[2], engine=engine)]
    for provider, (model, prefix) in WIRES.items():
        said = {"provider": provider, "model": model, "url": vendors + prefix}
        settings += [_TARGET.format(name=name, **said) for name in _names(provider)]
    (folder / "hearth.toml").write_text("".join(settings))
    ours = {"HEARTH_STATE_DIR": str(folder / "state"), "HEARTH_API_KEY": _KEY, "VENDOR_KEY": "vendor-key"}
    program = apart.python_environment("faults-llmock") / "bin" / "llmock"
    commands: tuple[tuple[str, ...], ...] = (
        (str(program), "serve", "--port", vendors.rpartition(":")[2], "--stream-chunk-delay-ms", "5"),
        (sys.executable, "-m", "tests.fakes.scripted_model", "--port", engine.rpartition(":")[2]),
        (sys.executable, "-m", "runtime.cli", "serve", "--config", str(folder / "hearth.toml")),
    )
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name in filter(foreign, list(os.environ)):
            patch.delenv(name)
        running = [
            stack.enter_context(Running(command, folder / f"{number}.log", ours))
            for number, command in enumerate(commands)
        ]
        hello = {"messages": [{"role": "user", "content": "Hello"}], "model": "x"}
        running[0].first_answer(f"{vendors}/v1/chat/completions", json.dumps(hello).encode())
        hello["model"] = "local"
        running[2].first_answer(f"{port}/v1/chat/completions", json.dumps(hello).encode(), key=_KEY)
        yield Place(port, vendors)


def _names(provider: str) -> Iterator[str]:
    for fault in EVERY:
        yield f"{provider}-{fault.name}"
        yield f"{provider}-{fault.name}-live"
    yield f"{provider}-stall"


def _clean(place: Place, tries: int) -> None:
    verdict = place.verdict()
    assert verdict["findings"] == [], json.dumps(verdict["findings"], indent=1)
    assert verdict["attempts"] == tries


def _whole(status: int, text: str, *, streamed: bool) -> None:
    """The whole answer, once."""
    assert status == 200, text
    if streamed:
        assert text.endswith("data: [DONE]\n\n") and '"error"' not in text, text[-500:]
        choices = [choice for chunk in _chunks(text) for choice in chunk["choices"]]
        said = "".join(choice["delta"].get("content") or "" for choice in choices)
    else:
        choices = json.loads(text)["choices"]
        said = choices[0]["message"]["content"]
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["stop"], text[-500:]
    assert said.strip() == STORY


def _chunks(text: str) -> list[Json]:
    lines = (line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {"))
    return list(map(json.loads, lines))


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.name)
def test_a_passing_fault_is_not_seen(place: Place, wire: str, fault: Fault) -> None:
    """The answer is whole, and the judge finds nothing."""
    place.queue(*fault.behaviors)
    _whole(*place.ask(f"{wire}-{fault.name}"), streamed=False)
    _clean(place, fault.tries)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", CUTS, ids=lambda fault: fault.name)
def test_a_cut_is_not_seen_in_an_answer_that_is_held_back(place: Place, wire: str, fault: Fault) -> None:
    """A stream that is delivered whole is asked for again, wherever it broke."""
    place.queue(*fault.behaviors)
    _whole(*place.ask(f"{wire}-{fault.name}", stream=True, hearth={"delivery": "whole"}), streamed=True)
    _clean(place, fault.tries)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "fault", [*PASSING, *(cut for cut in CUTS if cut.name.endswith("-0"))], ids=lambda fault: fault.name
)
def test_before_the_first_content_a_stream_does_not_show_it_either(place: Place, wire: str, fault: Fault) -> None:
    """Nothing was said yet: the same as if the whole answer were wanted."""
    place.queue(*fault.behaviors)
    _whole(*place.ask(f"{wire}-{fault.name}-live", stream=True), streamed=True)
    _clean(place, fault.tries)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", [*FINAL, *LASTING], ids=lambda fault: fault.name)
def test_a_lasting_fault_is_told_and_not_hammered(place: Place, wire: str, fault: Fault) -> None:
    """A refusal is asked once; an outage as often as the settings say, ever more slowly."""
    place.queue(*fault.behaviors)
    status, text = place.ask(f"{wire}-{fault.name}")
    assert status == fault.told and "error" in json.loads(text), text
    _clean(place, fault.tries)


# The judge holds against a client what it did not ask again, whatever it told its user.
_UNSEEN = {"truncated_stream_accepted", "malformed_chunk_ignored", "gave_up"}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", [cut for cut in CUTS if not cut.name.endswith("-0")], ids=lambda fault: fault.name)
def test_a_cut_after_the_first_content_is_told(place: Place, wire: str, fault: Fault) -> None:
    """Never as a whole answer: an error event, and no closing mark. It is not asked again: text would come twice."""
    place.queue(*fault.behaviors)
    status, text = place.ask(f"{wire}-{fault.name}-live", stream=True)
    assert status == 200 and "[DONE]" not in text and '"finish_reason":"stop"' not in text, text[-500:]
    assert '"error"' in text.splitlines()[-2], text[-500:]
    verdict = place.verdict()
    assert verdict["attempts"] == 1 and {each["code"] for each in verdict["findings"]} <= _UNSEEN, verdict


@pytest.mark.parametrize("wire", WIRES)
def test_a_stalled_stream_is_left(place: Place, wire: str) -> None:
    """After the idle time-out, not after the stall: the judge would call that no read time-out."""
    place.queue(breaks("stall", _LATE, stall_seconds=6 * _IDLE_S))
    status, text = place.ask(f"{wire}-stall", stream=True, hearth={"delivery": "whole"})
    assert status == 502 and "nothing came" in text, text
    verdict = place.verdict()
    assert "no_read_timeout" not in {each["code"] for each in verdict["findings"]}, verdict
