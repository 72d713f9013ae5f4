"""Answers that come compressed unasked are unpacked in bounded pieces."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cloud.hop import CloudHop
from runtime.contract.failures import HopError, Kind
from runtime.contract.hop import HttpCall, Reply
from runtime.wire.unpacking import Unpacking
from tests.fakes.guard import GUARD, TO

TEXT = b'data: {"x":1}\n\n' * 500
PACKED = {"gzip": gzip.compress(TEXT), "x-gzip": gzip.compress(TEXT), "deflate": zlib.compress(TEXT)}


class Response:
    """An aiohttp response that plays pieces, then ends."""

    def __init__(self, pieces: Sequence[bytes], coding: str) -> None:
        self.status, self.headers, self.content, self._pieces = 200, {"content-encoding": coding}, self, list(pieces)

    async def readany(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def close(self) -> None: ...


async def opened(*pieces: bytes, coding: str) -> Reply:
    async def send(*_: Any, **__: Any) -> Response:
        return Response(pieces, coding)

    return await CloudHop(cast(Any, SimpleNamespace(send=send)), "http://vendor", {}, GUARD, TO).open(
        HttpCall("/x"), connect_s=1.0
    )


@pytest.mark.parametrize("coding", PACKED)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
async def test_packed_answers_are_unpacked(coding: str, size: int) -> None:
    """However the packed bytes are cut, the answer is what was packed."""
    packed = PACKED[coding]
    reply = await opened(*(packed[at : at + size] for at in range(0, len(packed), size)), coding=coding)
    assert await reply.read() == TEXT


async def test_a_bomb_comes_in_bounded_pieces() -> None:
    """Many zeros in a few kilobytes are never in memory at once."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([packer.compress(bytes(1 << 20)) for _ in range(64)]) + packer.flush()
    pieces = [bomb]

    async def read() -> bytes:
        return pieces.pop() if pieces else b""

    unpacking = Unpacking(read, "gzip", most_piece=4096)
    assert [len(await unpacking.piece()) for _ in range(100)] == [4096] * 100
    reply = await opened(bomb, coding="gzip")
    with pytest.raises(HopError) as caught:
        await reply.read(at_most=1 << 20)
    assert caught.value.failure.kind is Kind.GARBLED


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [([PACKED["gzip"][:-20]], Kind.BROKEN_STREAM), ([], Kind.BROKEN_STREAM), ([b"no gzip"], Kind.GARBLED)],
)
async def test_a_cut_or_wrong_packing_is_a_failure(pieces: list[bytes], kind: Kind) -> None:
    """Never a short answer as a whole one."""
    reply = await opened(*pieces, coding="gzip")
    with pytest.raises(HopError) as caught:
        await reply.read()
    assert caught.value.failure.kind is kind


async def test_a_coding_that_is_not_known_is_a_failure() -> None:
    """Its bytes are never taken for the answer."""
    with pytest.raises(HopError, match="compressed"):
        await opened(b"x", coding="br")
