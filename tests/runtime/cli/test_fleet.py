"""`hearth fleet status`: its lines, and the JSON that programs read."""

from __future__ import annotations

import json

import msgspec

from runtime.cli.fleet import fleet_lines
from runtime.cli.paint import PLAIN
from runtime.fleet.peers import ASKS, STORE, PeerStanding, PeerState, PeerSummary
from runtime.fleet.store import AttachedStanding, StoreStanding
from runtime.server.pages.fleet import FleetReport

OWN = PeerSummary("a", "llama-3.1-8b", True, 1, 3, 240.0, "", "0.1.0", "0c1f")
REPORT = FleetReport(
    OWN,
    (
        PeerStanding(
            "https://b:8000", PeerState.ALIVE, 0.4,
            PeerSummary("b", "llama-3.1-8b", True, 7, 8, 2310.0, "queue_depth", "0.1.0", "77aa"), ("settings",),
        ),
        PeerStanding(
            "https://c:8000", PeerState.STALE, 41.0, PeerSummary("c", "llama-3.1-8b", version="0.2.0"), ("version",),
            "Connection refused",
        ),
        PeerStanding("https://d:8000", PeerState.UNKNOWN),
        PeerStanding("", PeerState.ALIVE, 0.2, PeerSummary("e", "qwen3-8b", True), via=STORE),
        PeerStanding(
            "", PeerState.REFUSED, 0.1, PeerSummary(protocol=2), trouble="it speaks protocol 2, this one 1", via=ASKS
        ),
    ),
    StoreStanding("valkey://store:6379/0", 12.0, "refused", 3, 41),
)  # fmt: skip
LINES = """\
a  here                                          llama-3.1-8b, 3 running, 1 waiting, first token in 240 ms
b  alive    https://b:8000     heard 0.4 s ago   llama-3.1-8b, 8 running, 7 waiting, first token in 2.3 s, \
over its threshold of queue_depth
  other settings (77aa there, 0c1f here): it may decide otherwise; compare `hearth config show`
c  stale    https://c:8000     heard 41.0 s ago  it said last: llama-3.1-8b, the engine is not up
  Connection refused
  no request is passed on to it, and what is stored there cannot be had
  another version: 0.2.0 there, 0.1.0 here
-  unknown  https://d:8000     never heard
  no answer
  no request is passed on to it, and what is stored there cannot be had
e  alive    through the store  heard 0.2 s ago   qwen3-8b, 0 running, 0 waiting
-  refused  asks this one      heard 0.1 s ago
  it speaks protocol 2, this one 1

the store valkey://store:6379/0 has been away for 12 s: refused
"""


def test_every_hearth_has_a_line() -> None:
    """With what differs and what is wrong below it, and the store at the end."""
    assert "\n".join(fleet_lines(REPORT, PLAIN)) + "\n" == LINES


def test_a_hearth_that_is_alone_says_so() -> None:
    """In one line."""
    *_, last = fleet_lines(FleetReport(PeerSummary(model="m")), PLAIN)
    assert last.startswith("it is alone")


def test_each_attached_engine_has_a_line() -> None:
    """What the others have there and how old that is; that nothing is heard; that nobody else sends to it."""
    address = "http://engine:8000/v1"
    report = FleetReport(
        PeerSummary("a", model="m"),
        attached=(
            AttachedStanding("replica-0", address, 3, ("b", "c"), 2, 700, 5, 4000, 0.31),
            AttachedStanding("replica-1", address, 3, assumed=True),
            AttachedStanding("replica-2", address, 1),
        ),
    )
    _, heard, assumed, alone = fleet_lines(report, PLAIN)
    assert heard == f"replica-0 at {address}: 5 running and 2 waiting of b, c, heard 0.3 s ago"
    assert assumed == (
        f"replica-1 at {address}: nothing is heard: each of 3 Hearths is taken to have as much there as this one"
    )
    assert alone == f"replica-2 at {address}: no other Hearth sends to it"


def test_the_json_has_these_members() -> None:
    """Members are added, never renamed: what is read of it in another version is read here."""
    shown = json.loads(msgspec.json.encode(REPORT))
    assert set(shown) >= {"own", "peers", "store", "attached"}
    assert set(shown["peers"][0]) >= {"address", "state", "heard_ago_s", "summary", "differs", "trouble"}
    names = {
        "name",
        "model",
        "ready",
        "waiting",
        "running",
        "predicted_ttft_ms",
        "over",
        "version",
        "settings",
        "protocol",
    }
    assert set(shown["own"]) >= names and set(shown["store"]) >= {"url", "away_s", "trouble", "hearths"}
    assert msgspec.json.decode(msgspec.json.encode({**shown, "more": 1}), type=FleetReport) == REPORT
