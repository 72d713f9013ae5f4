"""Other Hearths as targets: where they are, and what they are certified for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from runtime.compose.peers import PeerRoom, digest_of
from tests.fakes.box import Box
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
    assert not target.capabilities.continues and target.capabilities.context_tokens == 2048


def test_settings_that_decide_have_another_digest() -> None:
    """Names, addresses and keys rightly differ between the Hearths of a fleet; thresholds do not."""
    plain = digest_of(settings("", {}))
    assert digest_of(settings('[fleet]\nname = "b"\n[server]\nport = 1', {})) == plain
    assert digest_of(settings("[escalation]\nttft_ms = 1", {})) != plain


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
