"""The shape of a batch's lines."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.batch.lines import MOST_ERRORS, Refused, read_file, read_requests

CHAT = "/v1/chat/completions"


def wanted(custom_id: object = "a", url: object = CHAT, body: object = None, **more: object) -> bytes:
    return json.dumps({"custom_id": custom_id, "url": url, "body": {} if body is None else body, **more}).encode()


def test_blank_lines_and_other_members_are_taken() -> None:
    """Numbers count the requests, not the lines of the file."""
    lines = [b"\n", wanted("a"), b"  ", wanted("b", extra=1)]
    assert [(each.number, each.custom_id) for each in read_file(lines, CHAT, 10)] == [(0, "a"), (1, "b")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_file_of_an_editor_is_taken(end: bytes) -> None:
    """A byte order mark, either line end, and none at the end of the file; a mark within it is a fault."""
    made = read_file([b"\xef\xbb\xbf" + wanted("a") + end, wanted("b") + end, wanted("c")], CHAT, 10)
    assert [each.custom_id for each in made] == ["a", "b", "c"]
    with pytest.raises(Refused, match="not a request"):
        list(read_file([wanted("a"), b"\xef\xbb\xbf" + wanted("b")], CHAT, 10))


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (wanted(""), "invalid_custom_id"),
        (wanted("x" * 513), "invalid_custom_id"),
        (wanted(1), "invalid_json_line"),
        (wanted(body=[]), "invalid_json_line"),
        (wanted(method="GET"), "invalid_method"),
        (wanted(url="/v1/other"), "mismatched_endpoint"),
        (b'{"custom_id": "a"', "invalid_json_line"),
        (b"\xff\xfe", "invalid_json_line"),
        (b"[" * 100_000, "invalid_json_line"),
    ],
)
def test_a_faulty_line_is_named(raw: bytes, code: str) -> None:
    """With its place in the file."""
    with pytest.raises(Refused) as refused:
        list(read_file([wanted("good"), raw], CHAT, 10))
    assert [(each.line, each.code) for each in refused.value.errors] == [(2, code)]


def test_at_most_a_hundred_faults_are_named() -> None:
    """A file of another kind is not read to its end."""
    with pytest.raises(Refused) as refused:
        list(read_file([b"no"] * 1000, CHAT, 10_000))
    assert len(refused.value.errors) == MOST_ERRORS


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_bytes_are_read_or_refused(lines: list[bytes]) -> None:
    """Nothing but Refused comes out."""
    try:
        list(read_file(lines, CHAT, 10))
    except Refused as refused:
        assert refused.errors


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"requests": []}',
        b'{"requests": {}}',
        b'{"requests": [{"custom_id": "a"}]}',
        b'{"requests": [{"custom_id": "a", "params": 1}]}',
        b'{"requests": [{"custom_id": "", "params": {}}]}',
        b'{"requests": [{"custom_id": "a", "params": {}}, {"custom_id": "a", "params": {}}]}',
        b'{"requests": [' + b",".join(b'{"custom_id": "%d", "params": {}}' % n for n in range(4)) + b"]}",
    ],
)
def test_a_list_of_requests_is_refused_whole(body: bytes) -> None:
    """The first fault is named."""
    with pytest.raises(Refused):
        read_requests(body, 3)
