"""The page of a list that a query string asks for."""

from __future__ import annotations

import pytest

from runtime.wire.api_error import ApiError
from runtime.wire.window import Window, window


def test_the_window_is_read_off_the_query() -> None:
    """Newest first, and as many as the list gives by itself."""
    assert window("", 20, 100) == Window(20, None, True)
    assert window("after=fc_1&limit=3&order=asc&include=x", 20, 100) == Window(3, "fc_1", False)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        (f"limit={'9' * 10_000}", "limit"),
        ("order=up", "order"),
        ("order=DESC", "order"),
    ],
)
def test_an_odd_query_is_refused(query: str, param: str) -> None:
    """With the member at fault."""
    with pytest.raises(ApiError) as caught:
        window(query, 20, 100)
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, "invalid_parameter", param)
