"""Unpacks compressed request bodies: gzip, deflate or zstd, also one over another.

A few bytes can stand for gigabytes. So a body is unpacked a slice at a time and no further than its limit, and between
slices the loop turns, so that other requests do not wait.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import Callable, Iterator

from runtime.wire.api_error import ApiError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODINGS = "gzip, deflate, zstd"
_TAKEN = 65_536  # compressed bytes of a slice
_GIVEN = 262_144  # unpacked bytes of a slice: about a millisecond
_STEPS = 64  # slices without any output between two turns of the loop
_MOST_CODINGS = 3
_MOST_MEMBERS = 1_000  # gzip members or zstd frames of one body
_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's numbers for the wrappers
_ZSTD_WINDOW: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}  # 8 MiB, as RFC 9659 has it

Slices = Iterator[bytes]


class _Broken(Exception):
    """The body does not follow its coding."""


async def unpacked(body: bytes, codings: str, limit: int) -> bytes:
    """codings: as in Content-Encoding, in the order in which they were applied.

    Raises ApiError 415 for an unknown coding, 400 for a broken body, 413 past `limit` bytes at any stage.
    """
    names = [name.strip().lower() for name in codings.split(",") if name.strip()]
    unknown = [name for name in names if name not in _UNPACKERS]
    if unknown or len(names) > _MOST_CODINGS:
        what = f"content-encoding {unknown[0][:50]!r}" if unknown else f"more than {_MOST_CODINGS} codings"
        raise ApiError(415, f"{what} cannot be read: send {CODINGS} or the body as it is", "unsupported_encoding")
    for name in reversed(names):
        try:
            body = await _bounded(_UNPACKERS[name](body), limit)
        except (_Broken, zlib.error, zstd.ZstdError) as error:
            raise ApiError(400, f"the body is not valid {name}", "invalid_body") from error
    return body


async def _bounded(slices: Slices, limit: int) -> bytes:
    whole = bytearray()
    since_turn = steps = 0
    for piece in slices:
        whole += piece
        if len(whole) > limit:
            raise too_large(limit)
        since_turn, steps = since_turn + len(piece), steps + 1
        if since_turn >= _GIVEN or steps >= _STEPS:
            await asyncio.sleep(0)
            since_turn = steps = 0
    return bytes(whole)


def _inflated(body: bytes, wrapper: int) -> Slices:
    view, at = memoryview(body), 0
    for _ in range(_MOST_MEMBERS if wrapper == _GZIP else 1):
        stream = zlib.decompressobj(wrapper)
        while not stream.eof:
            taken = view[at : at + _TAKEN]
            piece = stream.decompress(taken, _GIVEN)
            at += len(taken) - len(stream.unconsumed_tail) - len(stream.unused_data)
            if not piece and not taken and not stream.eof:
                raise _Broken("cut short")
            yield piece
        if at == len(view):
            return
    raise _Broken("something follows its end")


def _deflate(body: bytes) -> Slices:
    """In zlib's wrapper, as the RFC wants it, or without it, as some clients send it."""
    wrapped = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return _inflated(body, _ZLIB if wrapped else _RAW)


def _zstd(body: bytes) -> Slices:
    view, at = memoryview(body), 0
    for _ in range(_MOST_MEMBERS):
        stream = zstd.ZstdDecompressor(options=_ZSTD_WINDOW)
        while not stream.eof:
            taken = view[at : at + _TAKEN] if stream.needs_input else b""
            if stream.needs_input and not taken:
                raise _Broken("cut short")
            at += len(taken)
            yield stream.decompress(taken, _GIVEN)
        at -= len(stream.unused_data)
        if at == len(view):
            return
    raise _Broken("something follows its end")


_UNPACKERS: dict[str, Callable[[bytes], Slices]] = {
    "gzip": lambda body: _inflated(body, _GZIP),
    "x-gzip": lambda body: _inflated(body, _GZIP),
    "deflate": _deflate,
    "zstd": _zstd,
    "identity": lambda body: iter((body,)),
}


def too_large(limit: int) -> ApiError:
    return ApiError(413, f"the body is larger than {limit // 1_000_000} MB (server.max_body_mb)", "request_too_large")
