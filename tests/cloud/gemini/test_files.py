"""Media too large for a body are uploaded once and referred to; a fake stands for the vendor's upload."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from cloud.gemini.files import LIFETIME_S, Files, oversized, referring
from runtime.contract.codec import Unsupported
from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.hop import MOST_BODY, HttpCall, rest_of
from runtime.contract.messages import Media, Message, Request, Role, Text, ToolCall, ToolResult
from tests.cloud.gemini.recorded import codec, target
from tests.fakes.guard import CARGO

BASE = "http://host/prefix"
CUT = HopError(Failure(Kind.BROKEN_STREAM, Disposition.NEXT_CANDIDATE, "cut"))


def picture(content: bytes) -> Media:
    return Media("video", "video/mp4", data=base64.b64encode(content).decode())


def showing(*media: Media) -> Request:
    result = ToolResult("c", media[1:])
    call = Message(Role.ASSISTANT, (ToolCall("c", "f", "{}"),))
    return Request("m", (Message(Role.USER, (Text("look"), *media[:1])), call, Message(Role.USER, (result,))))


@dataclass
class Answer:
    """`runtime.contract.hop.Reply`."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    async def chunk(self) -> bytes:
        piece, self.body = self.body[:65_536], self.body[65_536:]
        return piece

    async def relay(self, take: Callable[[bytes], bool]) -> bool:
        raise NotImplementedError

    async def read(self, at_most: int = MOST_BODY) -> bytes:
        return await rest_of(self, at_most)

    def close(self) -> None:
        pass


class Endless(Answer):
    """A body without end. taken: bytes that were read of it."""

    taken = 0

    async def chunk(self) -> bytes:
        self.taken += 65_536
        return b" " * 65_536


class Vendor:
    """`runtime.contract.hop.Hop` over the vendor's upload. cuts: after how many bytes each sending is cut. busy: polls."""

    def __init__(self, *, cuts: tuple[int, ...] = (), busy: int = 0, state: str = "ACTIVE") -> None:
        self.cuts, self.busy, self.state = list(cuts), busy, state
        self.calls: list[HttpCall] = []
        self.kept: dict[str, bytes] = {}
        self.refuse: Answer | None = None

    async def open(self, call: HttpCall, *, connect_s: float) -> Answer:
        self.calls.append(call)
        await asyncio.sleep(0)
        if self.refuse:
            return self.refuse
        if call.method == "GET":
            self.busy -= 1
            return Answer(200, json.dumps(self.file(call.path.rpartition("/")[2])).encode())
        if "upload_id" not in call.path:
            id = f"f{sum('upload_id' not in made.path for made in self.calls)}"
            self.kept[id] = b""
            return Answer(200, headers={"x-goog-upload-url": f"https://elsewhere/prefix/up?upload_id={id}"})
        return self.received(call, call.path.rpartition("=")[2])

    def received(self, call: HttpCall, id: str) -> Answer:
        told = dict(call.headers)
        if told["x-goog-upload-command"] == "query":
            return Answer(200, headers={"x-goog-upload-size-received": str(len(self.kept[id]))})
        assert int(told["x-goog-upload-offset"]) == len(self.kept[id])
        if self.cuts:
            self.kept[id] += call.body[: self.cuts.pop(0)]
            raise CUT
        self.kept[id] += call.body
        return Answer(200, json.dumps({"file": self.file(id)}).encode())

    def file(self, id: str) -> dict[str, Any]:
        state = "PROCESSING" if self.busy > 0 else self.state
        return {"name": f"files/{id}", "uri": f"https://files/{id}", "state": state, "error": {"message": "unreadable"}}

    async def aclose(self) -> None:
        pass


class Clock:
    """Wall-clock seconds; sleeping moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def files(vendor: Vendor, clock: Clock | None = None) -> Files:
    clock = clock or Clock()
    return Files(vendor, BASE, clock, clock.sleep)


def test_only_what_does_not_fit_goes_up_the_largest_first() -> None:
    """The same content twice is one file."""
    small, large = picture(b"a" * 30), picture(b"b" * 60)
    request = showing(small, large, replace(large, name="again"))
    assert oversized(request, 1000) == ()
    assert [media.data for media in oversized(request, 100)] == [large.data]
    assert [media.data for media in oversized(request, 10)] == [large.data, small.data]


def test_without_addresses_the_request_is_itself() -> None:
    """The same object is returned."""
    request = showing(picture(b"a"))
    assert referring(request, {}) is request


async def test_the_bytes_go_up_and_the_request_refers_to_them() -> None:
    """Media of users and of tool results are uploaded, at the hop's own address, whatever host the vendor names."""
    vendor = Vendor()
    request = await files(vendor).settled(showing(picture(b"abc"), picture(b"def")), CARGO, connect_s=1, limit=0)
    assert sorted(vendor.kept.values()) == [b"abc", b"def"]
    assert {call.path.partition("?")[0] for call in vendor.calls} == {"/upload/v1beta/files", "/up"}
    assert dict(vendor.calls[0].headers)["x-goog-upload-header-content-type"] == "video/mp4"
    body = json.loads(codec().encode(request, target("gemini-3.8-flash")).call.body)
    assert body["contents"][0]["parts"][1]["fileData"]["mimeType"] == "video/mp4"
    assert body["contents"][2]["parts"][1]["fileData"]["fileUri"].startswith("https://files/f")


async def test_a_content_goes_up_once_while_its_file_lives() -> None:
    """Two requests at once share one upload; after its life the file goes up again."""
    vendor, clock = Vendor(), Clock()
    shared, request = files(vendor, clock), showing(picture(b"abc"))
    first, second = await asyncio.gather(*(shared.settled(request, CARGO, connect_s=1, limit=0) for _ in range(2)))
    assert first == second
    assert len(vendor.kept) == 1
    clock.now = LIFETIME_S
    await shared.settled(request, CARGO, connect_s=1, limit=0)
    assert len(vendor.kept) == 2


async def test_an_upload_that_is_cut_goes_on_where_it_was() -> None:
    """Only the missing bytes are sent again; three cuts are too many."""
    vendor = Vendor(cuts=(2, 3))
    await files(vendor).settled(showing(picture(b"abcdefgh")), CARGO, connect_s=1, limit=0)
    assert vendor.kept["f1"] == b"abcdefgh"
    with pytest.raises(HopError) as cut:
        await files(Vendor(cuts=(1, 1, 1))).settled(showing(picture(b"abcdefgh")), CARGO, connect_s=1, limit=0)
    assert cut.value.failure.kind is Kind.BROKEN_STREAM


async def test_a_file_is_waited_for_until_it_can_be_used() -> None:
    """The vendor processes a file for a while; it is polled less and less often."""
    vendor, clock = Vendor(busy=3), Clock()
    await files(vendor, clock).settled(showing(picture(b"abc")), CARGO, connect_s=1, limit=0)
    assert [call.path for call in vendor.calls if call.method == "GET"] == ["/v1beta/files/f1"] * 3
    assert clock.now == 0.5 + 1 + 2


async def test_a_file_the_vendor_cannot_read_is_the_callers_to_know() -> None:
    """The failure has the vendor's message."""
    vendor = Vendor(state="FAILED")
    with pytest.raises(HopError) as failed:
        await files(vendor).settled(showing(picture(b"abc")), CARGO, connect_s=1, limit=0)
    assert (failed.value.failure.kind, failed.value.failure.message) == (Kind.REJECTED, "unreadable")


async def test_a_refused_upload_is_judged_like_any_call() -> None:
    """It is asked once, and the next request tries again."""
    vendor = Vendor()
    vendor.refuse = Answer(429, b'{"error": {"message": "m", "status": "RESOURCE_EXHAUSTED"}}')
    shared, request = files(vendor), showing(picture(b"abc"))
    with pytest.raises(HopError) as refused:
        await shared.settled(request, CARGO, connect_s=1, limit=0)
    assert refused.value.failure.kind is Kind.BUSY
    assert len(vendor.calls) == 1
    vendor.refuse = None
    await shared.settled(request, CARGO, connect_s=1, limit=0)


async def test_requests_that_wait_for_an_upload_stay_behind_each_other() -> None:
    """A failed upload is tried again by the next in line, one at a time; the table is empty afterwards."""
    vendor = Vendor()
    vendor.refuse = Answer(503, b"{}")
    running = most = 0
    opened = vendor.open

    async def counted(call: HttpCall, *, connect_s: float) -> Answer:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await opened(call, connect_s=connect_s)
        finally:
            running -= 1

    vendor.open = counted  # type: ignore[method-assign]
    shared, request = files(vendor), showing(picture(b"abc"))
    first = [asyncio.create_task(shared.settled(request, CARGO, connect_s=1, limit=0)) for _ in range(3)]
    with pytest.raises(HopError):
        await first[0]
    late = [asyncio.create_task(shared.settled(request, CARGO, connect_s=1, limit=0)) for _ in range(3)]
    await asyncio.gather(*first, *late, return_exceptions=True)
    assert most == 1
    assert shared._uploads == {}


async def test_a_cancelled_upload_leaves_no_lock() -> None:
    """The one that runs and one that waits are cancelled; a third still uploads."""
    vendor = Vendor()
    shared, request = files(vendor), showing(picture(b"abc"))
    tasks = [asyncio.create_task(shared.settled(request, CARGO, connect_s=1, limit=0)) for _ in range(3)]
    await asyncio.sleep(0)
    for task in tasks[:2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(each, asyncio.CancelledError) for each in outcomes] == [True, True, False]
    assert shared._uploads == {}


async def test_the_files_remembered_are_bounded() -> None:
    """A client that sends ever new contents does not fill the memory."""
    clock = Clock()
    shared = Files(Vendor(), BASE, clock, clock.sleep, most_files=2)
    for content in (b"a", b"b", b"c"):
        await shared.settled(showing(picture(content)), CARGO, connect_s=1, limit=0)
    assert len(shared._files) == 2


@pytest.mark.parametrize(("status", "kind"), [(200, Kind.GARBLED), (503, Kind.DOWN)])
async def test_an_answer_without_end_is_not_read_to_its_end(status: int, kind: Kind) -> None:
    """Neither a description of a file nor an error page may be longer than any real one."""
    vendor = Vendor()
    vendor.refuse = endless = Endless(status)
    with pytest.raises(HopError) as failed:
        await files(vendor).settled(showing(picture(b"abc")), CARGO, connect_s=1, limit=0)
    assert failed.value.failure.kind is kind
    assert endless.taken < 1 << 20


async def test_a_file_that_is_never_ready_is_given_up() -> None:
    """After a bounded wait, so that another candidate can answer."""
    with pytest.raises(HopError) as failed:
        await files(Vendor(busy=10_000)).settled(showing(picture(b"abc")), CARGO, connect_s=1, limit=0)
    assert (failed.value.failure.kind, failed.value.failure.disposition) == (Kind.SILENT, Disposition.NEXT_CANDIDATE)


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"file": {}}'])
async def test_an_answer_that_names_no_file_is_a_failure(body: bytes) -> None:
    """The failure is a HopError."""
    vendor = Vendor()
    vendor.refuse = Answer(200, body, {"x-goog-upload-url": "https://host/up?upload_id=f1"})
    with pytest.raises(HopError) as garbled:
        await files(vendor).settled(showing(picture(b"abc")), CARGO, connect_s=1, limit=0)
    assert garbled.value.failure.kind is Kind.GARBLED


@pytest.mark.parametrize("data", ["abc", "é"])
async def test_data_that_is_no_base64_is_refused(data: str) -> None:
    """It is refused before anything is sent."""
    with pytest.raises(Unsupported):
        await files(Vendor()).settled(showing(Media("video", "video/mp4", data=data)), CARGO, connect_s=1, limit=0)


@pytest.mark.parametrize("address", ["", "http://[", "https://host"])
async def test_an_upload_without_an_address_is_a_failure(address: str) -> None:
    """The vendor's answer to the start must name a path."""
    vendor = Vendor()
    vendor.refuse = Answer(200, b"{}", {"x-goog-upload-url": address})
    with pytest.raises(HopError) as garbled:
        await files(vendor).settled(showing(picture(b"abc")), CARGO, connect_s=1, limit=0)
    assert garbled.value.failure.kind is Kind.GARBLED
