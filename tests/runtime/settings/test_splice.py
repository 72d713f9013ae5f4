"""Changes spliced into a settings file: the wanted tree, and every other byte as it was."""

from __future__ import annotations

import difflib
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.settings.commented import commented_file
from runtime.settings.editable import EDITABLE, OWNERS, PRESENCE, refused
from runtime.settings.model import Document
from runtime.settings.splice import CannotSplice, KeyChange, SettingsChange, edited

FILE = """\
# head
[server]
port = 9000   # the port

[escalation]
# a comment
ttft_ms = 1500  # keep

complexity = { default = 0.6, code = 0.5 } # x

[targets.claude]
provider = "anthropic"
model = "m"
[targets.claude.timeouts]
connect = 3

# about rules
[[rules]]
when = { task = "code" }
to = ["claude"]
[[rules]]
to = ["local"]
[rules.when]
task = "math"

[aliases]
"gpt-4o" = "auto"
# end
"""


def changed(text: str, *sets: tuple[tuple[Any, ...], Any], unset: tuple[tuple[Any, ...], ...] = ()) -> str:
    return edited(text, SettingsChange(tuple(KeyChange(key, value) for key, value in sets), unset))


def lines(before: str, after: str) -> list[str]:
    """The lines that differ, as `-old` and `+new`."""
    found = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in found if line[:1] in "+-" and line[:3] not in ("+++", "---")]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (("escalation", "ttft_ms"), 1800, ["-ttft_ms = 1500  # keep", "+ttft_ms = 1800  # keep"]),
        (
            ("escalation", "complexity", "code"),
            0.4,
            [
                "-complexity = { default = 0.6, code = 0.5 } # x",
                "+complexity = { default = 0.6, code = 0.4 } # x",
            ],
        ),
        (("escalation", "complexity"), 1, ["-complexity = { default = 0.6, code = 0.5 } # x", "+complexity = 1 # x"]),
        (("escalation", "tasks"), ["code"], ['+tasks = ["code"]']),
        (("aliases", "gpt-4.1"), "local", ['+"gpt-4.1" = "local"']),
        (("routes", "code"), ["claude"], ["+", "+[routes]", '+code = ["claude"]']),
        (("rules", 1, "to"), ["claude"], ['-to = ["local"]', '+to = ["claude"]']),
        (("rules", 1, "when", "task"), "chat", ['-task = "math"', '+task = "chat"']),
        (
            ("rules", 2),
            {"when": {"task": "chat"}, "to": ["local"]},
            ["+[[rules]]", '+when = { task = "chat" }', '+to = ["local"]', "+"],
        ),
        (
            ("targets", "far"),
            {"provider": "gemini", "model": "x"},
            ["+[targets.far]", '+provider = "gemini"', '+model = "x"', "+"],
        ),
    ],
)
def test_a_value_is_set_and_nothing_else_moves(key: tuple[Any, ...], value: Any, expected: list[str]) -> None:
    """Comments, order and white space stay byte for byte."""
    assert lines(FILE, changed(FILE, (key, value))) == expected


@pytest.mark.parametrize(
    ("key", "gone"),
    [
        (("aliases", "gpt-4o"), ['"gpt-4o" = "auto"']),
        (("rules", 0), ["[[rules]]", 'when = { task = "code" }', 'to = ["claude"]']),
        (("rules", 1), ["[[rules]]", 'to = ["local"]', "[rules.when]", 'task = "math"']),
        (
            ("targets", "claude"),
            ["[targets.claude]", 'provider = "anthropic"', 'model = "m"', "[targets.claude.timeouts]", "connect = 3"],
        ),
    ],
)
def test_a_key_or_a_table_is_taken_out_whole(key: tuple[Any, ...], gone: list[str]) -> None:
    """Nothing is added, and what stands around it stays."""
    found = lines(FILE, changed(FILE, unset=(key,)))
    assert all(line.startswith("-") for line in found)
    assert sorted(found) == sorted(f"-{line}" for line in gone)


def test_files_that_are_written_with_dots_or_in_one_line_can_be_changed_too() -> None:
    """Dotted keys of the root, inline tables, a text without an end of line, and an empty one."""
    dotted = 'escalation.ttft_ms = 5\naliases = {a="local"}'
    assert changed(dotted, (("escalation", "ttft_ms"), 6)) == dotted.replace("5", "6")
    assert tomllib.loads(changed(dotted, (("escalation", "release"), 0.5)))["escalation"] == {
        "ttft_ms": 5,
        "release": 0.5,
    }
    assert tomllib.loads(changed(dotted, (("aliases", "b"), "auto")))["aliases"] == {"a": "local", "b": "auto"}
    assert changed("", (("escalation", "ttft_ms"), 6)) == "[escalation]\nttft_ms = 6\n"
    both = changed(FILE, unset=(("rules", 0), ("rules", 1)))
    assert "rules" not in tomllib.loads(both) and "# about rules" in both


@pytest.mark.parametrize("key", [("escalation", "queue_depth"), ("rules", 7), ("escalation", "ttft_ms", "x")])
def test_what_is_not_there_cannot_be_taken_out(key: tuple[Any, ...]) -> None:
    """The message names the key."""
    with pytest.raises(CannotSplice):
        changed(FILE, unset=(key,))


PLACES = [
    ("escalation", "ttft_ms"),
    ("escalation", "release"),
    ("timeouts", "idle"),
    ("budget", "daily_usd"),
    ("retries", "attempts"),
    ("aliases", "a b"),
    ("aliases", "gpt-4o"),
]
TEXTS = [FILE, commented_file(), "", FILE.replace("\n", "\r\n")]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(TEXTS),
    st.lists(st.tuples(st.sampled_from(PLACES), st.one_of(st.integers(0, 10**6), st.text(max_size=12))), max_size=6),
)
def test_whatever_is_set_is_what_the_parser_reads_back(text: str, sets: list[tuple[tuple[str, ...], Any]]) -> None:
    """Each value is there, and the lines that were there before are all still there, in order, but for those replaced."""
    after = changed(text, *sets)
    tree: Any = tomllib.loads(after)
    for key, value in dict(sets).items():
        assert tree[key[0]][key[1]] == value
    assert sum(line.startswith("-") for line in lines(text, after)) <= len(sets) + 1


def test_every_section_is_either_editable_or_the_owners() -> None:
    """A section that is added to the settings and to neither list is found here; the owner's are refused."""
    assert EDITABLE | OWNERS | {PRESENCE} == set(Document.model_fields)
    assert set() == EDITABLE & OWNERS
    assert all(refused((name, "x"), 1) for name in OWNERS)
    assert not any(refused((name, "x"), 1) for name in EDITABLE)
    assert refused(("targets", "a", "base_url"), "x") and refused(("targets", "a"), {"provider": "p", "key": "env:X"})
    assert not refused(("targets", "a"), {"provider": "p", "model": "m"}) and not refused(("targets", "a"))
    assert refused(("escalation",), {}) and refused((), {})
