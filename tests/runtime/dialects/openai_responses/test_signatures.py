"""Reasoning carried through clients of the responses wire, and the table of which model made which item."""

from __future__ import annotations

import pytest

from runtime.contract.messages import Opaque, Reasoning
from runtime.dialects.openai_responses.signatures import (
    Carried,
    Makers,
    NativeReasoning,
    is_foreign,
    is_translated,
    native_signature,
    part_of,
    read_foreign,
    read_native,
    translated_id,
    write_foreign,
)


def test_native_reasoning_survives_the_contract() -> None:
    """Item id and encrypted content come back from the signature; another wire's signature is not native."""
    assert read_native(native_signature("rs_1", "gAAA b")) == NativeReasoning("rs_1", "gAAA b")
    assert read_native(native_signature("", "gAAA")) == NativeReasoning("", "gAAA")
    assert read_native("Erc=") is None and read_native(None) is None and read_native("openai_responses#torn") is None


@pytest.mark.parametrize(
    ("carried", "part"),
    [
        (Carried(signature="s"), Reasoning("Hm.", "s")),
        (Carried(redacted="r", model="m"), Reasoning("Hm.", None, "r", {"hearth": {"model": "m"}})),
        (Carried(wire="gemini", value={"a": 1}), Opaque("gemini", {"a": 1})),
        (Carried(signature="s", call_id="c"), None),
    ],
)
def test_foreign_values_survive_a_client(carried: Carried, part: Reasoning | Opaque | None) -> None:
    """Whatever another wire's model needs back is read as it was written."""
    content = write_foreign(carried)
    assert is_foreign(content) and read_foreign(content) == carried
    assert part_of(carried, "Hm.") == part


@pytest.mark.parametrize("content", [None, 5, "gAAA", "hearth:", "hearth:{", "hearth:[]", "hearth:\ud800"])
def test_a_damaged_foreign_value_is_none(content: object) -> None:
    """Content that is native, absent or changed by a client is not read as foreign."""
    assert read_foreign(content) is None


def test_translated_ids_show_themselves() -> None:
    """A runtime that did not translate the item recognises its id all the same."""
    assert is_translated(translated_id("rs", "ab12")) and not is_translated("rs_ab12")


def test_the_table_of_makers_is_bounded() -> None:
    """A hundred thousand items of one answer leave only as many as there is room for; the least recently used go first."""
    makers = Makers(most=10)
    makers.note(["first", "second"], "one")
    for place in range(100_000):
        makers.note([f"item_{place}"], "two")
        makers.of("first")
    assert len(makers) == 10
    assert (makers.of("first"), makers.of("second"), makers.of("item_99999")) == ("one", None, "two")
