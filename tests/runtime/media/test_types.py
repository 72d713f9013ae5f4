"""What a file is by its first bytes."""

from __future__ import annotations

import pytest

from runtime.media.types import by_content

KNOWN = {
    "image/png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "image/gif": b"GIF89a\x01\x00",
    "image/webp": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "application/pdf": b"%PDF-1.7\n",
    "audio/wav": b"RIFF\x24\x00\x00\x00WAVEfmt ",
    "audio/mp3": b"ID3\x04\x00\x00",
    "video/mp4": b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00",
    "video/webm": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\x82\x84webm",
}


@pytest.mark.parametrize("mime", KNOWN)
def test_a_file_of_a_known_type_is_known(mime: str) -> None:
    """By its first bytes alone."""
    assert by_content(KNOWN[mime]) == mime
    assert by_content(KNOWN[mime] + bytes(100)) == mime


def test_mp3_without_a_tag_is_known() -> None:
    """It begins with a frame of MPEG audio."""
    assert by_content(b"\xff\xfb\x90\x64" + bytes(60)) == "audio/mp3"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"<!doctype html><html>",
        b'{"token": "secret"}',
        b"RIFF\x24\x00\x00\x00AVI LIST",
        b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00",
        b"\x1aE\xdf\xa3\x93B\x82\x88matroska",
        b"\xff\xfe\x00\x00t\x00e\x00x\x00t\x00",
        b"MZ\x90\x00",
    ],
)
def test_anything_else_is_not(data: bytes) -> None:
    """Nothing is what it only looks like."""
    assert by_content(data) is None
