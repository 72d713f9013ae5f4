"""The headers that say whether and when a client should retry."""

from __future__ import annotations

import pytest

from runtime.wire.api_error import ApiError


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413])
def test_a_refusal_that_stays_is_not_to_be_asked_again(status: int) -> None:
    """Clients that repeat whatever fails (a wrong key, for minutes) get a header that says not to."""
    assert ApiError(status, "no").headers == ((b"x-should-retry", b"false"),)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_a_fault_that_may_pass_is_left_to_the_client(status: int) -> None:
    """It has its own rules."""
    assert ApiError(status, "later").headers == ()


def test_a_known_wait_is_told_in_whole_seconds() -> None:
    """At least one."""
    assert ApiError(429, "busy", retry_after=0.2).headers == ((b"retry-after", b"1"),)
    assert ApiError(503, "starting", retry_after=12.4).headers == ((b"retry-after", b"12"),)
