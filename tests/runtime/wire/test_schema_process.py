"""Schemas from outside, checked where they can stop nobody."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from runtime.wire.child_pool import UncheckedError
from runtime.wire.schema_process import SchemaProcess

EVIL = {"type": "string", "pattern": "^(a+)+$"}
EVIL_TEXT = '"' + "a" * 40 + '!"'
BOMB = {
    "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {"type": "object"}},
    "$ref": "#/$defs/d0",
}


@pytest.fixture
def checks() -> Iterator[SchemaProcess]:
    """A pool of one child with a short limit."""
    pool = SchemaProcess(limit_s=0.3, patience_s=30, children=1)
    yield pool
    pool.close()


@pytest.fixture
async def longest_turn() -> AsyncIterator[list[float]]:
    """The most CPU, in seconds, that the event loop took at a stretch during the test."""
    longest = [0.0]

    async def watch() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.001)
            longest[0] = max(longest[0], time.thread_time() - before)

    task = asyncio.create_task(watch())
    yield longest
    task.cancel()


Children = Callable[[], list[psutil.Process]]


@pytest.fixture
def children() -> Children:
    """Lists the child processes of this test that run checks."""

    def running() -> list[psutil.Process]:
        found = psutil.Process().children()
        return [child for child in found if child.pid not in earlier and "json_schema.py" in " ".join(child.cmdline())]

    earlier = {child.pid for child in psutil.Process().children()}
    return running


async def test_a_pattern_is_checked(checks: SchemaProcess) -> None:
    """And the violation says where."""
    schema = {"properties": {"n": {"pattern": "^a+$"}}}
    assert await checks.violation('{"n": "aa"}', schema) is None
    found = await checks.violation('{"n": "b"}', schema)
    assert found is not None
    assert found.at == "$.n"


@pytest.mark.parametrize(("text", "schema"), [(EVIL_TEXT, EVIL), ("{}", BOMB)])
async def test_a_check_without_end_is_given_up(
    checks: SchemaProcess, longest_turn: list[float], text: str, schema: Any
) -> None:
    """A regular expression that backtracks, references that double: the loop keeps running, and the next check is answered."""
    with pytest.raises(UncheckedError, match=r"within 0\.3 s"):
        await checks.violation(text, schema)
    assert await checks.violation("1", {"type": "integer"}) is None
    assert longest_turn[0] < 0.05


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("[" * 100_000, {"type": "object"}),
        ("1", {"properties": {"a": {"$ref": "#"}}, "$ref": "#"}),
        ("{}", {"$defs": {f"x{n}": {"type": "object"} for n in range(20_000)}}),
        ('{"a": ' * 900 + "1" + "}" * 900, {"properties": {"a": {"$ref": "#"}}, "not": {"type": "string"}}),
        ("[" + "1," * 200_000 + "1]", {"uniqueItems": True, "items": {"type": "integer"}}),
    ],
)
async def test_deep_recursive_and_huge_schemas_hold_no_turn_of_the_loop(
    checks: SchemaProcess, longest_turn: list[float], text: str, schema: Any
) -> None:
    """Whatever comes of the check."""
    with contextlib.suppress(UncheckedError):
        await checks.violation(text, schema)
    assert longest_turn[0] < 0.05


async def test_a_thousand_evil_patterns_neither_pile_up_nor_leak(children: Children) -> None:
    """Most are refused at once; no process and no file is left."""
    pool = SchemaProcess(limit_s=0.1, patience_s=0.5, most_waiting=8)
    files = psutil.Process().num_fds()
    before = time.monotonic()
    found = await asyncio.gather(*(pool.violation(EVIL_TEXT, EVIL) for _ in range(1000)), return_exceptions=True)
    assert all(isinstance(each, UncheckedError) for each in found)
    assert time.monotonic() - before < 30
    assert sum("waiting already" in str(each) for each in found) == 992
    pool.close()
    assert children() == []
    assert psutil.Process().num_fds() <= files


async def test_a_check_that_waited_too_long_is_given_up() -> None:
    """Its turn comes too late."""
    pool = SchemaProcess(limit_s=1, patience_s=0.2, children=1)
    evil = asyncio.create_task(pool.violation(EVIL_TEXT, EVIL))
    await asyncio.sleep(0)
    with pytest.raises(UncheckedError, match=r"waited 0\.2 s"):
        await pool.violation("{}", None)
    with pytest.raises(UncheckedError):
        await evil
    pool.close()


async def test_the_death_of_a_child_costs_no_later_check(checks: SchemaProcess, children: Children) -> None:
    """The next one gets a fresh child."""
    assert await checks.violation("{}", None) is None
    (child,) = children()
    child.kill()
    child.wait()
    assert await checks.violation("{}", None) is None
    assert len(children()) == 1


async def test_an_idle_child_ends_by_itself(children: Children) -> None:
    """So does one whose parent is gone: its pipe ends."""
    pool = SchemaProcess(idle_s=0.05, children=1)
    assert await pool.violation("{}", None) is None
    for child in children():
        child.wait(timeout=10)
    assert await pool.violation("{}", None) is None
    pool.close()


async def test_a_child_that_speaks_nonsense_is_killed(tmp_path: Path, children: Children) -> None:
    """Nothing is known of the answer then."""
    program = tmp_path / "json_schema.py"
    program.write_text("import sys; sys.stdin.buffer.read(4); sys.stdout.buffer.write(bytes(8)); sys.stdout.flush()")
    pool = SchemaProcess(program=(sys.executable, str(program)), children=1)
    with pytest.raises(UncheckedError):
        await pool.violation("{}", None)
    assert children() == []
    pool.close()


async def test_more_text_than_the_limit_is_not_checked() -> None:
    """The answer alone, or the schema with it."""
    pool = SchemaProcess(text_limit=100)
    for text, schema in (("x" * 101, None), ("{}", {"const": "x" * 100})):
        with pytest.raises(UncheckedError, match="longer than 100"):
            await pool.violation(text, schema)
    pool.close()


async def test_it_can_be_closed_and_used_again(checks: SchemaProcess, children: Children) -> None:
    """Closing ends the children that are there; it is no end of checking."""
    assert await checks.violation("1", {"type": "integer"}) is None
    checks.close()
    assert children() == []
    assert await checks.violation("1", {"type": "integer"}) is None
    assert len(children()) == 1
