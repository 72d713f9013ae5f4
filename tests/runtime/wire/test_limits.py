"""Limits above what a model can give, in a client's own bytes."""

from __future__ import annotations

import pytest

from runtime.wire import limits
from runtime.wire.raw_body import RawBody


def test_a_limit_above_the_models_is_lowered_in_place() -> None:
    """Every spelling of it; all else stays as it was written."""
    body = RawBody(b'{ "max_tokens" : 1000000,"x": 1.50, "max_completion_tokens":9 }')
    assert limits.lowered(body, 64).raw == b'{ "max_tokens" : 64,"x": 1.50, "max_completion_tokens":9 }'


@pytest.mark.parametrize(
    "raw", [b"{}", b'{"max_tokens":64}', b'{"max_tokens":"100"}', b'{"max_tokens":true}', b'{"max_tokens":null}']
)
def test_a_body_without_such_a_limit_is_the_clients_own(raw: bytes) -> None:
    """Odd values are the server's to refuse."""
    body = RawBody(raw)
    assert limits.lowered(body, 64) is body
