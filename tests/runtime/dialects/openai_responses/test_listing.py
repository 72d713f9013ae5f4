"""Pages of input items, each read by the vendor's SDK."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses import ResponseItemList
from pydantic import TypeAdapter

from runtime.dialects.openai_responses.listing import page
from runtime.wire.api_error import ApiError
from runtime.wire.window import Window

_LIST: TypeAdapter[Any] = TypeAdapter(ResponseItemList)
ITEMS = (
    b'{"role":"user","content":"a"}',
    b'{"role":"assistant","content":"b"}',
    b'{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{}","status":"completed"}',
    b'{"type":"function_call_output","call_id":"c","output":"d","id":"fo_1","status":"completed"}',
    b'{"role":"user","content":[{"type":"input_text","text":"e"}]}',
)


def listed(items: tuple[bytes, ...], wanted: Window) -> dict[str, Any]:
    listing: dict[str, Any] = json.loads(page(items, wanted))
    return listing


def test_items_are_listed_as_the_sdk_knows_them() -> None:
    """Oldest first if asked for; items without an id, a type or content in parts get them."""
    listing = listed(ITEMS, Window(20, newest_first=False))
    _LIST.validate_python(listing, strict=True)
    assert [item["id"] for item in listing["data"]] == ["item_0", "item_1", "fc_1", "fo_1", "item_4"]
    assert [item["type"] for item in listing["data"][:3]] == ["message", "message", "function_call"]
    assert listing["data"][0]["content"] == [{"type": "input_text", "text": "a"}]
    assert listing["data"][1]["content"] == [{"type": "output_text", "text": "b", "annotations": []}]
    assert (listing["first_id"], listing["last_id"], listing["has_more"]) == ("item_0", "item_4", False)


def test_pages_follow_each_other() -> None:
    """Newest first by default; no item appears twice or is left out."""
    seen: list[str] = []
    wanted = Window(2)
    while (listing := listed(ITEMS, wanted))["has_more"]:
        seen += [item["id"] for item in listing["data"]]
        wanted = Window(2, listing["last_id"])
    seen += [item["id"] for item in listing["data"]]
    assert seen == ["item_4", "fo_1", "fc_1", "item_1", "item_0"]


def test_an_empty_list_is_a_list() -> None:
    """The SDK reads it, too."""
    listing = listed((), Window(20))
    _LIST.validate_python(listing, strict=True)
    assert (listing["data"], listing["has_more"]) == ([], False)


def test_only_the_items_of_a_page_are_decoded() -> None:
    """A conversation of many large items costs what its page costs; both ways through it end at the same items."""
    items = tuple(b'{"id":"i%d","type":"message","content":"a"}' % place for place in range(10_000))
    forth, back = Window(3, "i4999", newest_first=False), Window(3, "i5001")
    assert [item["id"] for item in listed(items, forth)["data"]] == ["i5000", "i5001", "i5002"]
    assert [item["id"] for item in listed(items, back)["data"]] == ["i5000", "i4999", "i4998"]
    undecodable = (b'{"id":"a","content":"\xff"}', b'{"id":"b","type":"message","content":[]}')
    assert [item["id"] for item in listed(undecodable, Window(1))["data"]] == ["b"]


def test_a_page_behind_nothing_is_refused() -> None:
    """An `after` that names no item."""
    with pytest.raises(ApiError) as caught:
        page(ITEMS, Window(20, "gone"))
    assert (caught.value.status, caught.value.param) == (400, "after")
