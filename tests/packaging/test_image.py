"""The `core` image: built step by step from its Dockerfile over a Debian file system, and run as a container engine would.

As uid 12345, with a read-only root, without capabilities.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from local_models.installer.install import UnfitBoxError
from scripts.bench.processes import Running, free_port
from scripts.image.base import debian, why_not
from scripts.image.build import Image, build
from scripts.image.container import Container
from scripts.install import ROOT

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(700)]
KEY = "a-key-of-the-test"
USER = "12345:12345"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The built image. Skipped in words where this machine cannot build one."""
    if reason := why_not():
        pytest.skip(reason)
    try:
        base = debian()
    except UnfitBoxError as fault:
        pytest.skip(f"there is no Debian file system to build on: {fault}")
    return build(ROOT / "docker" / "Dockerfile", ROOT, "core", base, tmp_path_factory.mktemp("image"))


def until(condition: Callable[[], Any], within_s: float = 60.0) -> Any:
    """The condition's first true value."""
    end = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.05)
    return value


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the OpenAI dialect that a container attaches to."""
    at = free_port()
    command = [sys.executable, "-m", "scripts.bench.stub", "--port", str(at), "--chunks", "20"]
    with Running(command, tmp_path_factory.mktemp("stub") / "log"):
        yield f"http://127.0.0.1:{at}/v1"


@contextlib.contextmanager
def started(image: Image, engine: str, folder: Path) -> Iterator[tuple[Container, int]]:
    """A container that answers, and its port."""
    port = free_port()
    env = {"HEARTH_SERVER__PORT": str(port), "HEARTH_API_KEY": KEY, "HEARTH_ENGINE__URL": json.dumps([engine])}
    with Container(image, USER, env, folder / "volumes", folder / "log") as running:
        until(lambda: status(port, "/health/ready") == 200)
        yield running, port


@pytest.fixture(scope="module")
def serving(image: Image, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Container, int]]:
    with started(image, engine, tmp_path_factory.mktemp("serving")) as both:
        yield both


@pytest.fixture
def container(serving: tuple[Container, int]) -> Container:
    """One that answers, shared by the tests that do not stop it."""
    return serving[0]


@pytest.fixture
def port() -> int:
    return free_port()


def ask(port: int, path: str, key: str | None = KEY, body: object = None) -> Any:
    """The open reply, read by the caller."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    return urllib.request.urlopen(request, timeout=60)


def status(port: int, path: str, key: str | None = KEY) -> int | None:
    try:
        with ask(port, path, key) as reply:
            code: int = reply.status
            return code
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except OSError:
        return None


def chat(text: str, *, stream: bool = False) -> dict[str, object]:
    return {"model": "auto", "messages": [{"role": "user", "content": text}], "stream": stream}


def test_it_answers_its_key_alone(serving: tuple[Container, int]) -> None:
    """With the key 200, without or with another 401; liveness needs none."""
    _, port = serving
    with ask(port, "/v1/chat/completions", body=chat("hello")) as reply:
        assert json.load(reply)["choices"][0]["message"]["content"]
    assert status(port, "/v1/models", key=None) == 401
    assert status(port, "/v1/models", key="another") == 401
    assert status(port, "/health/live", key=None) == 200


def test_its_own_health_check_says_so(container: Container) -> None:
    """HEALTHCHECK's command, inside: 0 while it lives, not 0 where nothing listens."""
    check = container.image.config.healthcheck
    assert container.execute(check).returncode == 0
    assert container.execute(["env", "HEARTH_SERVER__PORT=1", *check]).returncode != 0


def test_only_three_places_can_be_written(container: Container) -> None:
    """An arbitrary uid writes its state, its cache and /tmp; everything else is read-only; it has no capabilities."""
    writes = (
        "for at in /var/lib/hearth /var/cache/hearth /tmp / /opt/hearth /etc/hearth; do touch $at/x && echo $at; done"
    )
    assert container.execute(["sh", "-c", writes]).stdout.split() == ["/var/lib/hearth", "/var/cache/hearth", "/tmp"]
    assert container.execute(["id", "-u"]).stdout.strip() == "12345"
    rights = container.execute(["grep", "CapEff", "/proc/self/status"]).stdout
    assert int(rights.split()[1], 16) == 0


def test_it_knows_that_it_is_a_container(container: Container) -> None:
    """`hearth doctor` names the image; nothing of the build is left in it."""
    doctor = json.loads(container.execute(["hearth", "doctor", "--json"]).stdout)
    words = {row["check"]: row["words"] for row in doctor["checks"]}
    assert "container image (core)" in words["installed"]
    assert container.execute(["python", "-c", "import hatchling"]).returncode != 0


def test_its_init_reaps_orphans(container: Container) -> None:
    """A process whose parent has gone does not stay as a zombie."""
    assert container.init.name() == "dumb-init"
    container.execute(["sh", "-c", "for i in 1 2 3; do (sleep 0.2 &) ; done"])
    until(lambda: len(container.processes()) == 2)
    assert [each.status() for each in container.processes()].count(psutil.STATUS_ZOMBIE) == 0


def test_sigterm_lets_an_open_answer_finish(image: Image, engine: str, tmp_path: Path) -> None:
    """The stream that runs is whole, exit code 0, and no process is left."""
    with started(image, engine, tmp_path) as (container, port):
        inside = container.processes()
        with ask(port, "/v1/chat/completions", body=chat("pace=100", stream=True)) as reply:
            first = reply.readline()
            container.init.terminate()
            rest = reply.read()
        assert first.startswith(b"data:")
        assert rest.rstrip().endswith(b"data: [DONE]")
        assert container.wait(60) == 0
        assert [each for each in inside if each.is_running()] == []
        assert "stopped" in container.log.read_text()


def test_leaving_it_ends_whatever_runs(image: Image, engine: str, tmp_path: Path) -> None:
    """A container that nobody stopped leaves no process behind."""
    with started(image, engine, tmp_path) as (container, _):
        inside = container.processes()
        assert all(each.is_running() for each in inside)
    assert [each for each in inside if each.is_running()] == []


def test_without_a_key_it_ends_with_a_sentence(image: Image, port: int, tmp_path: Path) -> None:
    """On 0.0.0.0 nothing is served without one; the sentence names the variable."""
    env = {"HEARTH_SERVER__PORT": str(port)}
    with Container(image, USER, env, tmp_path / "volumes", tmp_path / "log") as running:
        assert running.wait(60) == 5
    assert "set HEARTH_API_KEY in the environment" in running.log.read_text()


def test_a_key_from_a_secret_file(image: Image, engine: str, port: int, tmp_path: Path) -> None:
    """As the compose file gives it."""
    volumes = tmp_path / "volumes"
    (volumes / "var-lib-hearth").mkdir(parents=True)
    (volumes / "var-lib-hearth" / "secret").write_text(f"{KEY}\n")
    env = {
        "HEARTH_SERVER__PORT": str(port),
        "HEARTH_SERVER__KEYS": '["file:/var/lib/hearth/secret"]',
        "HEARTH_ENGINE__URL": json.dumps([engine]),
    }
    with Container(image, USER, env, volumes, tmp_path / "log") as running:
        until(lambda: status(port, "/v1/models") == 200)
        assert status(port, "/v1/models", key="other") == 401
        assert running.stop(60) == 0
