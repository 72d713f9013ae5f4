"""Input items a page at a time, each as the vendor's SDK knows them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses import ResponseItemList
from pydantic import TypeAdapter

from runtime.dialects.openai_responses.listing import Window, page, window
from runtime.wire.api_error import ApiError

_LIST: TypeAdapter[Any] = TypeAdapter(ResponseItemList)
ITEMS = (
    b'{"role":"user","content":"a"}',
    b'{"role":"assistant","content":"b"}',
    b'{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{}","status":"completed"}',
    b'{"type":"function_call_output","call_id":"c","output":"d","id":"fo_1","status":"completed"}',
    b'{"role":"user","content":[{"type":"input_text","text":"e"}]}',
)


def listed(items: tuple[bytes, ...], wanted: Window) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(page(items, wanted))
    return told


def test_items_are_listed_as_the_sdk_knows_them() -> None:
    """Oldest first where that is asked for; an id, a type and content in parts for those that had none."""
    told = listed(ITEMS, Window(newest_first=False))
    _LIST.validate_python(told, strict=True)
    assert [item["id"] for item in told["data"]] == ["item_0", "item_1", "fc_1", "fo_1", "item_4"]
    assert [item["type"] for item in told["data"][:3]] == ["message", "message", "function_call"]
    assert told["data"][0]["content"] == [{"type": "input_text", "text": "a"}]
    assert told["data"][1]["content"] == [{"type": "output_text", "text": "b", "annotations": []}]
    assert (told["first_id"], told["last_id"], told["has_more"]) == ("item_0", "item_4", False)


def test_pages_follow_each_other() -> None:
    """Newest first unless said otherwise; none is shown twice or left out."""
    seen: list[str] = []
    wanted = Window(limit=2)
    while (told := listed(ITEMS, wanted))["has_more"]:
        seen += [item["id"] for item in told["data"]]
        wanted = Window(told["last_id"], 2)
    seen += [item["id"] for item in told["data"]]
    assert seen == ["item_4", "fo_1", "fc_1", "item_1", "item_0"]


def test_nothing_was_given() -> None:
    """An empty list is a list."""
    told = listed((), Window())
    _LIST.validate_python(told, strict=True)
    assert (told["data"], told["has_more"]) == ([], False)


def test_the_window_is_read_off_the_query() -> None:
    """What is not said is the wire's own."""
    assert window(b"") == Window(None, 20, True)
    assert window(b"after=fc_1&limit=3&order=asc&include=x") == Window("fc_1", 3, False)


@pytest.mark.parametrize(
    ("query", "param"), [(b"limit=0", "limit"), (b"limit=101", "limit"), (b"limit=x", "limit"), (b"order=up", "order")]
)
def test_an_odd_query_is_refused(query: bytes, param: str) -> None:
    """With the member at fault."""
    with pytest.raises(ApiError) as caught:
        window(query)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_a_page_behind_nothing_is_refused() -> None:
    """An `after` that names no item."""
    with pytest.raises(ApiError) as caught:
        page(ITEMS, Window("gone"))
    assert (caught.value.status, caught.value.param) == (400, "after")
