"""Messages and waits in the error answers of any vendor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.errors import SHOWN, error_of, message_of


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":{"message":"no","code":"x"},"request_id":"r"}', "no"),
        (b'[{"error":{"message":"no"}}]', "no"),
        (b'{"error":"no"}', "no"),
        (b'{"message":"no"}', "no"),
        (b'"no"', "no"),
        (b"<html>no</html>", "<html>no</html>"),
        (b'{"error":{"type":"odd"}}', "{'type': 'odd'}"),
        (b"{}", ""),
        (b"", ""),
    ],
)
def test_the_words_of_an_error(body: bytes, words: str) -> None:
    """The message is found in every shape that servers use."""
    assert message_of(error_of(body)[0]) == words


@given(st.binary(max_size=200))
def test_nothing_is_unreadable(body: bytes) -> None:
    """Any bytes have a bounded message."""
    assert len(message_of(error_of(body)[0])) <= SHOWN
