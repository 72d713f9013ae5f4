"""Other Hearths as targets: where they are, and what they are certified for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from runtime.compose.peers import PeerRoom, digest_of, resolved
from runtime.contract.failures import HopError
from runtime.contract.hop import HttpCall
from runtime.conversations.store import ResponseStore
from runtime.fleet.peers import PeerState, PeerSummary
from runtime.record.metrics import Gauges, Metrics
from runtime.server.access_policy import AccessPolicy
from runtime.server.pages.fleet import FleetReport, asking
from runtime.server.pages.health import HealthPages
from runtime.trust.keys import Keys
from tests.fakes.bare_app import asked, bare_app
from tests.fakes.box import Box
from tests.fakes.certificates import made_certificate
from tests.fakes.guard import GUARD
from tests.fakes.upstream import Turn, engine_backend, whole
from tests.runtime.settings.readings import settings

PEERS = """
[engine]
url = ["https://engine:8000/v1"]
certified = ["hipaa"]
[fleet]
name = "a"
peers = ["http://b:8000", "https://c:8000", "http://127.0.0.1:8001"]
key = "env:BETWEEN_US"
"""
KEY = {"BETWEEN_US": "a-secret"}


def room(text: str = PEERS) -> PeerRoom:
    return PeerRoom(Box(engine_backend((Turn([whole("Paris")]),))).desk, settings(text, KEY), GUARD)


@pytest.mark.parametrize(
    ("name", "certified", "on_box"),
    [
        ("peer/b:8000", frozenset[str](), False),  # no TLS, another machine
        ("peer/c:8000", frozenset({"hipaa"}), False),
        ("peer/127.0.0.1:8001", frozenset({"hipaa"}), True),
    ],
)
def test_a_peer_on_another_machine_holds_certificates_over_tls_alone(
    name: str, certified: frozenset[str], on_box: bool
) -> None:
    """Those of [engine] certified: it is an engine on another machine. Its facts are those of the engine here."""
    target = room().peers.backend(name).target
    assert (target.certified, target.on_box, target.peer, target.label) == (certified, on_box, True, "local/small")
    assert target.capabilities.context_tokens == 2048


def test_settings_that_decide_have_another_digest() -> None:
    """Names, addresses and keys rightly differ between the Hearths of a fleet; thresholds do not."""
    plain = digest_of(settings("", {}))
    assert digest_of(settings('[fleet]\nname = "b"\n[server]\nport = 1', {})) == plain
    assert digest_of(settings("[escalation]\nttft_ms = 1", {})) != plain


def test_settings_that_were_reloaded_have_their_new_digest() -> None:
    found = room()
    before = found.own().settings
    found.apply(settings(PEERS + "[escalation]\nttft_ms = 1", KEY))
    assert found.own().settings != before and found.own().instance


def test_this_hearth_says_what_its_engine_does() -> None:
    """And nothing about one that is draining."""
    found = room()
    own = found.own()
    assert (own.name, own.model, own.ready, own.waiting) == ("a", "small", True, 0)
    found._desk.draining = True
    assert not found.own().ready


def test_without_a_fleet_nothing_of_it_is_loaded() -> None:
    """The runtime is imported whole; the room of peers, what they share, and a client of a store are not."""
    of_fleet = ("runtime.compose.peers", "runtime.compose.store", "runtime.shared", "valkey")
    code = f"import sys, runtime.compose.runtime; print([n for n in sys.modules if n.startswith({of_fleet!r})])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@contextlib.asynccontextmanager
async def other(answer: bytes, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Another Hearth that says one thing to every request: its port."""

    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                asked = await reader.readuntil(b"\r\n\r\n")
                assert b"authorization: Bearer a-secret\r\n" in asked
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(answer) + answer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        served.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.wait_for(served.wait(), 20)


async def heard(found: PeerRoom, address: str) -> PeerState:
    """The state of a peer after it was asked once."""
    found.peers.know((address,))
    await found._listen(address)
    await found._hops[address][0].aclose()
    return found.peers.standings()[0].state


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with the key and the certificate of 127.0.0.1, which nobody trusts."""
    return made_certificate(tmp_path, "IP:127.0.0.1")


async def test_a_peer_behind_tls_is_heard_if_its_certificate_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of an own authority by SSL_CERT_FILE; without it nothing is sent, and the status says why."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with other(msgspec.json.encode(FleetReport(PeerSummary("b", "small", True))), context) as port:
        stranger = room()
        assert await heard(stranger, f"https://127.0.0.1:{port}") == PeerState.UNKNOWN
        assert "certificate" in stranger.peers.standings()[0].trouble
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert await heard(room(), f"https://127.0.0.1:{port}") == PeerState.ALIVE


async def test_the_one_that_is_asked_learns_who_asks() -> None:
    """By what the asker sends; so both say that their settings differ, also where the other lists nobody."""
    asker, other = room(), room('[fleet]\nname = "b"\nkey = "env:BETWEEN_US"\n[escalation]\nttft_ms = 1')
    page = other.around({}, other.report, ResponseStore(None, time.time))["GET", "/hearth/fleet"]
    app = bare_app(AccessPolicy(Keys(["client"], fleet="a-secret")), {("GET", "/hearth/fleet"): page})

    async def get(path: str, key: str) -> tuple[int, bytes]:
        answer = await asked(app, "GET", path, (("host", "localhost"), ("x-api-key", key)))
        return answer.status, answer.body

    async def probe(path: str, timeout_s: float, *, at_most: int) -> tuple[int, bytes]:
        return await get(path, "a-secret")

    address = asker.peers.addresses[0]
    asker.peers.know((address,))
    asker._hops[address][0].probe = probe  # type: ignore[method-assign, assignment]
    await asker._listen(address)
    assert asker.peers.troubles() == (f"the peer {address} has other settings",)
    assert other.peers.troubles() == ("the Hearth a, which asks this one, has other settings",)
    for word in ("{", '{"own":{"waiting":"many"}}', json.dumps({"own": {"name": "x" * 5000}})):
        assert (await get(f"/hearth/fleet?asker={quote(word)}", "a-secret"))[0] == 200
    assert (await get(asking(room().word()), "client"))[0] == 200  # a client's word counts for nothing
    assert len(other.peers.standings()) == 1


async def test_names_are_resolved_by_the_system() -> None:
    """`localhost` is this machine, at the port that stands behind it."""
    found = await resolved(("dns:localhost:8123", "http://c:8000"), ())
    assert "http://127.0.0.1:8123" in found and found[-1] == "http://c:8000" and len(set(found)) == len(found)


async def test_peers_by_name_come_and_go_with_the_names_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those that stay everything is kept; while the name cannot be resolved nobody goes."""
    listed: list[str] = ["10.0.0.2", "10.0.0.1"]

    async def lookup(host: str, port: int) -> list[Any]:
        assert (host, port) == ("hearth", 8000)
        if not listed:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in listed]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    found, names = room(), ("dns:hearth:8000",)
    found.peers.know(await resolved(names, found.peers.addresses))
    one, two = "http://10.0.0.1:8000", "http://10.0.0.2:8000"
    assert found.peers.addresses == (one, two)
    found.peers.heard(one, PeerSummary("b", "small", True))
    listed[:] = ["10.0.0.1", "10.0.0.3"]
    found.peers.know(await resolved(names, found.peers.addresses))
    assert found.peers.addresses == (one, "http://10.0.0.3:8000")
    assert found.peers.standings()[0].state == PeerState.ALIVE
    listed.clear()
    found.peers.know(await resolved(names, found.peers.addresses))
    assert found.peers.addresses == (one, "http://10.0.0.3:8000")


class Answered:
    """The answer of a page."""

    status, body = 0, b""

    async def answer_json(self, status: int, value: Any, headers: Any = ()) -> None:
        self.status, self.body = status, msgspec.json.encode(value)


async def test_readiness_and_metrics_say_who_differs_and_depend_on_nobody() -> None:
    """All peers unknown, then one that differs: the status code is the engine's."""
    found = room()
    pages, request = HealthPages(found._desk), Answered()
    await pages.ready(request, ())  # type: ignore[arg-type]
    shown = json.loads(request.body)["fleet"]
    assert request.status == 200 and (shown["name"], len(shown["settings"])) == ("a", 12)
    assert shown["peers"]["http://b:8000"] == {"name": "", "state": "unknown", "differs": []}
    found.peers.heard("http://b:8000", PeerSummary("b", "small", True, version="0", settings="other"))
    await pages.ready(request, ())  # type: ignore[arg-type]
    peer = json.loads(request.body)["fleet"]["peers"]["http://b:8000"]
    assert request.status == 200 and peer == {"name": "b", "state": "alive", "differs": ["version", "settings"]}
    found.forwarding.sent["b", "away"] = 2
    text = Metrics(lambda: Gauges(fleet=found.gauges())).render()[1].decode()
    assert 'hearth_fleet_peer_alive{peer="http://b:8000"} 1.0' in text
    assert 'hearth_fleet_peer_differs{peer="http://b:8000"} 1.0' in text
    assert 'hearth_fleet_peer_heard_seconds{peer="http://b:8000"}' in text
    assert 'hearth_fleet_peer_heard_seconds{peer="https://c:8000"}' not in text
    assert (
        'hearth_fleet_forwarded_total{outcome="away",owner="b"} 2.0' in text or 'owner="b",outcome="away"} 2.0' in text
    )


async def test_what_is_in_progress_with_a_peer_that_is_gone_without_a_word_is_ended() -> None:
    """Not heard for three seconds and not a byte: work of its engine, and what it stores. A Hearth that slept listens first."""
    now = 1000.0
    held = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.close()

    box = Box(engine_backend((Turn([whole("Paris")]),)), clock=lambda: now)
    found = PeerRoom(box.desk, settings(PEERS, KEY), GUARD)
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        found.peers.know((address,))
        found.peers.heard(address, PeerSummary("b", "small", ready=True))
        work, way = found._hops[address]
        asked = [asyncio.ensure_future(hop.open(HttpCall("/x"), connect_s=5.0)) for hop in (work, way)]
        while not (work.in_flight and way.in_flight):
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        now += 60.0
        found.end_silent()
        await asyncio.sleep(0)
        assert not any(each.done() for each in asked)
        for _ in range(13):
            now += 0.25
            found.end_silent()
        ended = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)
        assert all(isinstance(each, HopError) and "was not heard" in each.failure.message for each in ended)
        held.set()
