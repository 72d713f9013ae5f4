"""Messages and waits in the error answers of any vendor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.errors import SHOWN, error_of, message_of, retry_after

NOW = datetime(2026, 11, 22, tzinfo=UTC)


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


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=30), usegmt=True)}, 30.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_when_to_come_back(headers: dict[str, str], seconds: float | None) -> None:
    """A wait is given in milliseconds, in seconds or as a date, and is finite."""
    assert retry_after(headers, lambda: NOW) == seconds


def test_a_date_needs_a_clock() -> None:
    """Without the time a date is ignored."""
    assert retry_after({"retry-after": format_datetime(NOW, usegmt=True)}) is None
