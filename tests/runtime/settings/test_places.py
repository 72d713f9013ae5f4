"""The place of every key, for each way TOML has of writing one."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.settings.commented import toml
from runtime.settings.faults import dotted
from runtime.settings.places import Key, places
from runtime.settings.shape import leaves

ALL_WAYS = '''\
title = "a # no comment"  # a comment
"quoted key" . 'and dotted' = 1

[ table . "x.y" ]
text = """
several [lines]
= """""
literal = \'\'\'it's "[so]"\'\'\'
escaped = "a \\" ] b"
when = 2026-11-22 10:00:00
list = [ # opening
  1, [2, 3],
  { a = "}", b.c = [4] },
]

[[rules]]
to = ["x"]
[rules.inner]
deep = true
[[rules]]
to = []
[[rules.parts]]
n = 1
[[rules.parts]]
n = 2
'''


@pytest.mark.parametrize(
    ("key", "line", "column"),
    [
        (("title",), 1, 1),
        (("quoted key", "and dotted"), 2, 1),
        (("table", "x.y"), 4, 1),
        (("table", "x.y", "text"), 5, 1),
        (("table", "x.y", "literal"), 8, 1),
        (("table", "x.y", "escaped"), 9, 1),
        (("table", "x.y", "when"), 10, 1),
        (("table", "x.y", "list", 0), 12, 3),
        (("table", "x.y", "list", 1, 1), 12, 10),
        (("table", "x.y", "list", 2, "a"), 13, 5),
        (("table", "x.y", "list", 2, "b", "c", 0), 13, 21),
        (("rules", 0), 16, 1),
        (("rules", 0, "inner", "deep"), 19, 1),
        (("rules", 1, "to"), 21, 1),
        (("rules", 1, "parts", 1, "n"), 25, 1),
    ],
)
def test_every_way_of_writing_a_key_has_its_place(key: Key, line: int, column: int) -> None:
    """Lines and columns count from 1 and point at the key, or at an entry of a list."""
    tomllib.loads(ALL_WAYS)
    assert places(ALL_WAYS)[key] == (line, column)


@pytest.mark.parametrize("text", ["", "\n\n", "# only this", "a = 1", "a = 1\r\nb = 2\r\n", "[t]"])
def test_small_texts_are_read_to_their_end(text: str) -> None:
    """Nothing, comments, no last line break, and DOS line ends."""
    assert {key[:1] for key in places(text)} == {(name,) for name in tomllib.loads(text)}


_names = st.text(min_size=1, max_size=8)
_values = st.recursive(
    st.text() | st.integers(-9, 9) | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)  # a busy machine is no fault
@given(st.dictionaries(_names, st.dictionaries(_names, _values, max_size=4), max_size=4))
def test_every_value_of_any_document_has_a_place(tree: dict[str, dict[str, Any]]) -> None:
    """What the parser finds, the scan finds too, on the line it was written."""
    lines: list[str] = []
    wanted: dict[Key, int] = {}
    for table, entries in tree.items():
        lines.append(f"[{dotted((table,))}]")
        for name, value in entries.items():
            lines.append(f"{dotted((name,))} = {toml(value)}")
            wanted[table, name] = len(lines)
    text = "\n".join(lines)
    assert tomllib.loads(text) == tree
    found = places(text)
    assert {key: found[key].line for key in wanted} == wanted
    assert all(key in found for key, value in leaves(tree) if value != {})
