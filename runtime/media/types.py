"""The media type of a file by its first bytes, whatever its sender calls it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

FIRST = 64  # bytes that are read

# Brands of pictures in the container of MP4; those that begin with M4 are sound.
_STILL = frozenset({b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis", b"crx "})


def _riff(form: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(b"RIFF") and head[8:12] == form


def _mp3(head: bytes) -> bool:
    """A tag, or a frame of MPEG audio layer III with a bit rate and a sampling rate that exist."""
    if head.startswith(b"ID3"):
        return True
    if len(head) < 3 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2 or head[1] & 0x18 == 0x08:
        return False
    return 0x00 < head[2] & 0xF0 < 0xF0 and head[2] & 0x0C != 0x0C


_SIGNS: Mapping[str, Callable[[bytes], bool]] = {
    "image/png": lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"),
    "image/jpeg": lambda head: head.startswith(b"\xff\xd8\xff"),
    "image/gif": lambda head: head.startswith((b"GIF87a", b"GIF89a")),
    "image/webp": _riff(b"WEBP"),
    "application/pdf": lambda head: head.startswith(b"%PDF-"),
    "audio/wav": _riff(b"WAVE"),
    "audio/mp3": _mp3,
    "video/mp4": lambda head: head[4:8] == b"ftyp" and head[8:12] not in _STILL and head[8:10] != b"M4",
    "video/webm": lambda head: head.startswith(b"\x1aE\xdf\xa3") and b"webm" in head,
}


def by_content(data: bytes) -> str | None:
    """The MIME type, None for a file of another type. data: at least its first `FIRST` bytes, or all there are."""
    head = bytes(data[:FIRST])
    return next((mime for mime, fits in _SIGNS.items() if fits(head)), None)
