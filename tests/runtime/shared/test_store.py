"""The connection to a fleet's store, on a real Valkey and on Redis where there is one."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from runtime.cli.box import ask_store
from runtime.fleet.store import StoreRefusedError
from runtime.shared.store import SharedStore, StoreAwayError, connected, waking
from tests.fakes.certificates import made_certificate
from tests.fakes.valkey_server import ValkeyServer, free_port, speaks_tls, valkey_server

LONG_S = 30.0


async def back(store: SharedStore) -> float:
    """Seconds until it answers again."""
    began = time.monotonic()
    while True:
        try:
            await store.beat()
            return time.monotonic() - began
        except StoreAwayError:
            assert time.monotonic() - began < LONG_S
            await asyncio.sleep(0.02)


async def test_a_lease_belongs_to_one_hearth_at_a_time(server: ValkeyServer) -> None:
    """Its holder renews it; another gets it once it has run out."""
    one, other = SharedStore(server.url, "one"), SharedStore(server.url, "other")
    await asyncio.gather(back(one), back(other))
    assert await one.lease("autoscale", 0.3)
    assert await one.lease("autoscale", 0.3)
    assert not await other.lease("autoscale", 0.3)
    deadline = time.monotonic() + LONG_S
    while not await other.lease("autoscale", 10.0):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert not await one.lease("autoscale", 0.3)
    await one.beat()
    assert (one.alive, one.standing().away_s) == (2, None)


def test_the_clock_of_what_is_leased_goes_on_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's monotonic clock stops with the machine, and a lease that had lapsed would pass for fresh."""
    real, slept_s = time.clock_gettime, 3600.0
    monkeypatch.setattr(
        time, "clock_gettime", lambda id: real(id) + (slept_s if id == getattr(time, "CLOCK_BOOTTIME", id) else 0.0)
    )
    store = SharedStore("valkey://127.0.0.1:9/0", "one")
    assert waking() - time.monotonic() >= slept_s - 1.0
    slept_s += 60.0
    assert 60.0 <= (store.away_s() or 0.0) < 70.0
    store.close()


async def test_each_hears_the_words_of_the_others_while_they_are_alive(server: ValkeyServer) -> None:
    """And never its own; one that says nothing is counted all the same."""
    one, other, silent = (SharedStore(server.url, name) for name in ("one", "other", "silent"))
    await asyncio.gather(*map(back, (one, other, silent)))
    assert await one.beat("I am one") == {}
    assert await other.beat("I am other") == {"one": "I am one"}
    assert await one.beat("I am one still") == {"other": "I am other"}
    assert await silent.beat() == {"one": "I am one still", "other": "I am other"} and silent.alive == 3
    deadline = time.monotonic() + LONG_S
    while await other.beat("I am other"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    assert other.alive == 1


async def test_a_frozen_store_is_not_waited_for(server: ValkeyServer) -> None:
    """The first call ends at its time-out, those after it at once; it is back soon after it thaws."""
    store = SharedStore(server.url, "one")
    await back(store)
    server.freeze()
    took = []
    for _ in range(20):
        began = time.monotonic()
        with pytest.raises(StoreAwayError):
            await store.beat()
        took.append(time.monotonic() - began)
    assert sorted(took)[-2] < min(0.05, took[0])
    assert store.away
    assert not await store.lease("any", 1.0)
    server.thaw()
    await back(store)
    assert store.standing().away_s is None


async def test_a_store_that_was_killed_and_emptied_gets_its_functions_again(server: ValkeyServer) -> None:
    store = SharedStore(server.url, "one")
    await back(store)
    server.kill()
    with pytest.raises(StoreAwayError):
        await store.beat()
    server.start(empty=True)
    await back(store)


@pytest.mark.parametrize("name", ["valkey", "redis"])
@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--maxmemory-policy", "allkeys-lru"), "maxmemory-policy noeviction"),
        (("--rename-command", "FUNCTION", ""), "forbids FUNCTION"),
        (("--rename-command", "FCALL", ""), "allow FCALL"),
    ],
)
def test_a_store_that_cannot_serve_a_fleet_is_refused(
    tmp_path: Path, more: tuple[str, ...], words: str, name: str
) -> None:
    """At the start and by `hearth doctor`, with what to do."""
    with valkey_server(tmp_path, name, *more) as server:
        with pytest.raises(StoreRefusedError, match=words):
            SharedStore(server.url, "one").examine()
        fault, todo = ask_store(server.url, None)
        assert words in f"{fault}: {todo}"


def test_a_store_that_is_away_does_not_keep_a_hearth_from_starting() -> None:
    """`hearth doctor` says so all the same."""
    url = f"valkey://127.0.0.1:{free_port()}/0"
    store = SharedStore(url, "one")
    store.examine()
    assert store.away
    assert "does not answer" in ask_store(url, None)[0]


@pytest.mark.parametrize("name", ["valkey", "redis"])
def test_a_store_with_a_password_is_used_with_it_and_refused_without(tmp_path: Path, name: str) -> None:
    """Also where a user is named in the address."""
    with valkey_server(tmp_path, name, "--requirepass", "right") as server:
        store = SharedStore(server.url, "one", "right")
        store.examine()
        assert not store.away
        for password in ("wrong", None):
            with pytest.raises(StoreRefusedError, match=r"\[fleet\] store_key"):
                SharedStore(server.url, "one", password).examine()
            assert "store_key" in ask_store(server.url, password)[1]
        client = connected(server.url, "right")
        client.execute_command("ACL", "SETUSER", "hearth", "on", ">its-own", "~{hearth}*", "+@all")
        client.close()
        assert ask_store(server.url.replace("//", "//hearth@"), "its-own") == ("", "")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """One file with the key and the certificate of "localhost", which nobody trusts."""
    return made_certificate(tmp_path, "DNS:localhost")


@pytest.mark.parametrize("name", ["valkey", "redis"])
def test_a_store_behind_tls_is_used_if_its_certificate_is_trusted_and_its_own(
    certificate: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of an own authority by SSL_CERT_FILE. An unknown one is refused, and so is one of another host."""
    port, folder = free_port(), tmp_path / "store"
    folder.mkdir()
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(certificate))
    more = (*files, "--tls-ca-cert-file", str(certificate), "--tls-port", str(port), "--tls-auth-clients", "no")
    if not speaks_tls(name):
        pytest.skip(f"{name}-server is built without TLS here")
    with valkey_server(folder, name, *more, "--requirepass", "right"):
        url = f"valkeys://localhost:{port}/0"
        with pytest.raises(StoreRefusedError, match="SSL_CERT_FILE"):
            SharedStore(url, "one", "right").examine()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        store = SharedStore(url, "one", "right")
        store.examine()
        assert not store.away, store.trouble
        fault, todo = ask_store(url.replace("localhost", "127.0.0.1"), "right")
        assert "not trusted" in fault and "name the store" in todo
