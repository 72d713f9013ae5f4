"""Compressed request bodies: read where the coding is known, refused where it is not, and bounded whatever they hold."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from runtime.server.access_policy import AccessPolicy
from runtime.server.asgi import ClientGone, ClientRequest, Pairs
from runtime.server.bodies import unpacked
from runtime.trust.keys import Keys
from runtime.wire.api_error import ApiError
from tests.fakes.bare_app import asked, bare_app

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b'{"model": "auto", "text": "' + b"hello " * 20_000 + b'"}'

Packer = Callable[[bytes], bytes]
PACK: dict[str, Packer] = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def halves(pack: Packer) -> Packer:
    """Two members or frames, one behind the other."""
    return lambda data: pack(data[:1000]) + pack(data[1000:])


PACKERS: dict[str, tuple[str, Packer]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip of two members": ("GZip", halves(gzip.compress)),
    "its old name": ("x-gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "deflate without a wrapper": ("deflate", raw_deflate),
    "zstd": ("zstd", zstd.compress),
    "zstd of two frames": ("zstd", halves(zstd.compress)),
    "zstd with a frame to skip": ("zstd", lambda data: b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc" + zstd.compress(data)),
    "two codings": ("gzip, zstd", lambda data: zstd.compress(gzip.compress(data))),
    "three codings": ("deflate,gzip ,identity", lambda data: gzip.compress(zlib.compress(data))),
    "none": ("identity", lambda data: data),
    "an empty list": (" , ", lambda data: data),
}


@pytest.mark.parametrize("case", PACKERS)
async def test_known_codings_are_read(case: str) -> None:
    """Whole, small ones and large ones, and exactly up to the limit."""
    codings, pack = PACKERS[case]
    for text in (b"{}", b"", TEXT):
        assert await unpacked(pack(text), codings, len(TEXT)) == text
    if codings.strip(" ,"):
        with pytest.raises(ApiError) as raised:
            await unpacked(pack(TEXT), codings, len(TEXT) - 1)
        assert raised.value.status == 413


@pytest.mark.parametrize("codings", ["br", "gzip, br", "compress", "gzip;q=1", "gzip," * 4, "\xe9", "x" * 4000])
async def test_other_codings_are_refused(codings: str) -> None:
    """415, before anything is unpacked."""
    with pytest.raises(ApiError) as raised:
        await unpacked(TEXT, codings, 1_000_000)
    assert (raised.value.status, raised.value.code) == (415, "unsupported_encoding") and len(raised.value.message) < 200


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
async def test_broken_bodies_are_refused(coding: str) -> None:
    """Empty, cut anywhere, changed, followed by something else, or in another coding."""
    packed = PACK[coding](TEXT)
    at = 0 if coding == "zstd" else 20  # its frames carry no checksum unless asked to
    changed = packed[:at] + bytes([packed[at] ^ 255]) + packed[at + 1 :]
    other = zstd.compress(b"x") if coding == "gzip" else gzip.compress(b"x")
    for body in (b"", packed[:1], packed[:-1], packed[: len(packed) // 2], changed, packed + b"more", other, b"{}"):
        with pytest.raises(ApiError) as raised:
            await unpacked(body, coding, 10_000_000)
        assert (raised.value.status, raised.value.code) == (400, "invalid_body")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd", "gzip, gzip", "gzip, zstd"])
async def test_a_bomb_is_refused_within_bounds(coding: str) -> None:
    """A gigabyte of zeros in a megabyte, or in a kilobyte: 413, no memory beyond the limit, and the loop turns meanwhile."""
    bomb = bytes(256 << 20)
    for name in coding.split(", "):
        bomb = PACK[name](bomb)
    turns: list[float] = []

    async def turning() -> None:
        while True:
            turns.append(time.thread_time())
            await asyncio.sleep(0)

    beside = asyncio.create_task(turning())
    tracemalloc.start()
    with pytest.raises(ApiError) as raised:
        await unpacked(bomb, coding, 16 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    beside.cancel()
    assert raised.value.status == 413 and peak < 64 << 20
    assert max(later - earlier for earlier, later in itertools.pairwise(turns)) < 0.05


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_body_of_empty_members_is_refused(coding: str) -> None:
    """Each costs an object and gives nothing: a thousand are enough."""
    member = gzip.compress(b"") if coding == "gzip" else zstd.compress(b"")
    with pytest.raises(ApiError) as raised:
        await unpacked(member * 200_000, coding, 16 << 20)
    assert raised.value.status == 400


async def test_a_zstd_frame_that_wants_much_memory_is_refused() -> None:
    """Its window is bounded, whatever its head says."""
    options: dict[int, int] = {
        zstd.CompressionParameter.window_log: 27,
        zstd.CompressionParameter.enable_long_distance_matching: 1,
    }
    packer = zstd.ZstdCompressor(options=options)
    large = packer.compress(bytes(1000)) + packer.flush()
    with pytest.raises(ApiError) as raised:
        await unpacked(large, "zstd", 1_000_000)
    assert raised.value.status == 400


async def _sizes(request: ClientRequest, extra: Pairs) -> None:
    await request.answer_json(200, len(await request.body(10_000)), extra)


async def test_a_request_with_a_compressed_body() -> None:
    """The limit holds before and after unpacking, whatever Content-Length says; several header lines are one list."""
    app = bare_app(AccessPolicy(Keys(())), {("POST", "/v1/responses"): _sizes})
    host = ("host", "localhost")
    packed = zstd.compress(gzip.compress(b"x" * 5000))
    both = [host, ("content-encoding", "gzip"), ("content-encoding", "zstd")]
    assert (await asked(app, "POST", "/v1/responses", both, body=[packed[:10], packed[10:]])).body == b"5000"
    large = [host, ("content-encoding", "gzip")]
    assert (await asked(app, "POST", "/v1/responses", large, body=[gzip.compress(bytes(10_001))])).status == 413
    refused = await asked(app, "POST", "/v1/responses", [host, ("content-encoding", "br")], body=[b"x"])
    assert (refused.status, refused.header("accept-encoding")) == (415, "gzip, deflate, zstd")


@pytest.mark.parametrize("length", [None, "5", "20000", "9" * 30])
async def test_the_limit_of_a_body_holds_whatever_its_length_says(length: str | None) -> None:
    """In one piece, in many, and where the length alone is too much."""
    app = bare_app(AccessPolicy(Keys(())), {("POST", "/v1/responses"): _sizes})
    headers = [("host", "localhost"), *([("content-length", length)] if length else [])]
    for body in ([bytes(10_001)], [b"x"] * 10_001):
        assert (await asked(app, "POST", "/v1/responses", headers, body=body)).status == 413
    fits = await asked(app, "POST", "/v1/responses", headers, body=[b"x"] * 10_000)
    assert fits.status == (413 if length and len(length) > 1 else 200)


async def test_a_client_that_hangs_up_while_sending_gets_nothing() -> None:
    """No answer, and no error in the log."""
    gone: list[bool] = []

    async def page(request: ClientRequest, extra: Pairs) -> None:
        try:
            await request.body(100)
        except ClientGone:
            gone.append(True)
            raise

    app = bare_app(AccessPolicy(Keys(())), {("POST", "/v1/responses"): page})
    assert (await asked(app, "POST", "/v1/responses", body=())).status == 0 and gone
