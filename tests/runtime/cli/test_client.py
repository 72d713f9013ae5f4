"""The commands' HTTP client between proxies: never for this machine, and named where one is the trouble."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cli import box
from runtime.cli.client import Address, client, faults_in_words, proxy_variable, refusal
from runtime.cli.exits import CommandError, Exit
from runtime.cli.group import run
from tests.runtime.cli.fake_runtime import Reply, fake_runtime

ROOT = Path(__file__).resolve().parents[3]
FAR = "http://gpu-box.example:8000"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the proxies that a test sets."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.9.1", "[::ffff:127.0.0.1]"])
@pytest.mark.parametrize("name", ["HTTP_PROXY", "all_proxy"])
def test_this_machine_is_never_reached_through_a_proxy(host: str, name: str) -> None:
    """Another box cannot reach this one's loopback addresses."""
    assert proxy_variable(f"http://{host}:8000", {name: "http://proxy:1"}) is None
    assert proxy_variable(FAR, {name: "http://proxy:1"}) == name


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "nonsense://x"])
def test_a_runtime_and_a_server_here_answer_whatever_the_proxy_is(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """`hearth status` and `hearth doctor` go straight to them."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with fake_runtime(lambda asked: Reply(chunks=(b"{}",))) as fake:
        with client(Address(fake.url)) as http:
            assert http.get("/").status_code == 200
        assert box.ask_server(fake.url, None, dict(os.environ)) == (200, "")


@pytest.mark.parametrize("proxy", ["socks5://name:hidden@127.0.0.1:9", "nonsense://name:hidden@x"])
def test_a_proxy_that_cannot_be_used_is_one_sentence(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """It names the variable and what to do, and shows no password."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    err = io.StringIO()
    assert run(("status", "--url", FAR), io.StringIO(), err) == Exit.USAGE
    assert "ALL_PROXY" in err.getvalue()
    assert "NO_PROXY" in err.getvalue()
    assert "hidden" not in err.getvalue()
    status, why = box.ask_server(FAR, None, dict(os.environ))
    assert status is None
    assert "ALL_PROXY" in why


def test_an_answer_of_the_proxy_is_said_to_be_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of HTML with 503 is no refusal of the runtime."""
    with fake_runtime(lambda asked: Reply(503, (b"<html>",), {}, "text/html")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with pytest.raises(CommandError, match="HTTP_PROXY names answered 503"), client(Address(FAR)) as http:
            http.get("/hearth/status")


def test_a_dead_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime may be well."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with client(Address(FAR)) as http, pytest.raises(CommandError, match="HTTP_PROXY"), faults_in_words(Address(FAR)):
        http.get("/hearth/status")
    assert "HTTP_PROXY" in box.ask_server(FAR, None, dict(os.environ))[1]


def test_a_host_in_no_proxy_goes_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is not looked at."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "gpu-box.example")
    assert proxy_variable(FAR, dict(os.environ)) is None


def test_a_socks_proxy_ends_no_command_in_a_traceback() -> None:
    """As a shell starts it."""
    env = {**os.environ, "ALL_PROXY": "socks5://127.0.0.1:9"}
    for arguments in (("status", "--url", FAR), ("ask", "hi", "--url", FAR), ("status",)):
        ended = subprocess.run(
            [sys.executable, "-m", "runtime.cli", *arguments], cwd=ROOT, env=env, capture_output=True, check=False
        )
        assert ended.returncode in (Exit.USAGE, Exit.NO_RUNTIME)
        assert ended.stderr.count(b"\n") == 1
        assert b"Traceback" not in ended.stderr


def test_a_key_without_the_scope_is_advised() -> None:
    """The sentence says where an admin's key goes."""
    body = b'{"error": {"message": "this key lacks the scope admin", "code": "missing_scope"}}'
    assert str(refusal(403, body)).endswith("; put an admin key into HEARTH_API_KEY")
