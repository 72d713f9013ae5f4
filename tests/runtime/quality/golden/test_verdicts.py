"""Imported sets give the verdicts that the other tools themselves gave on recorded answers (scripts/verdicts.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.quality.golden.imports import inspect, openai, promptfoo
from scripts.verdicts import FILE
from tests.runtime.quality.golden.test_imports import golden, passes

RECORDED: dict[str, Any] = json.loads(FILE.read_text())
# Oddities of the others, which docs/quality.md names: Inspect takes the answer "A" for an article, and its numbers match no
# percentage; OpenAI evals take white space before an answer for a part of it; promptfoo takes nothing for a refusal.
OTHER_INSPECT = {"exact": {"A"}, "number": {"42%", "100%"}}


@pytest.mark.parametrize("how", ["match", "includes", "exact", "number", "choice"])
def test_the_verdicts_of_inspect(how: str, tmp_path: Path) -> None:
    """Every target against every answer, by its own scorer."""
    of = RECORDED["inspect"]
    more = {"choices": ["red", "green", "blue", "grey"]} if how == "choice" else {}
    records = [
        {"id": f"s{place}", "input": "x", "target": each, **more} for place, each in enumerate(of["targets"][how])
    ]
    found = inspect.read(json.dumps(records), how)
    assert found.untaken == []
    made, other = golden(found, tmp_path), set[str]()
    for number, row in enumerate(of["rows"][how]):
        for answer, verdict in zip(of["answers"], row, strict=True):
            if passes(made, number, answer) is not (verdict == "+"):
                other.add(answer)
    assert other <= OTHER_INSPECT.get(how, set())


@pytest.mark.parametrize("how", ["match", "includes", "fuzzy"])
def test_the_verdicts_of_openai_evals(how: str, tmp_path: Path) -> None:
    """Every ideal against every answer, by its own rule."""
    of = RECORDED["openai"]
    lines = [json.dumps({"input": f"x {place}", "ideal": each}) for place, each in enumerate(of["targets"][how])]
    found = openai.read("\n".join(lines), how)
    assert found.untaken == []
    made = golden(found, tmp_path)
    for number, row in enumerate(of["rows"][how]):
        for answer, verdict in zip(of["answers"], row, strict=True):
            stripped = how == "match" and answer[:1].isspace()  # `Match` takes white space for a part of the answer
            assert stripped or passes(made, number, answer) is (verdict == "+"), (of["targets"][how][number], answer)


def test_the_verdicts_of_promptfoo(tmp_path: Path) -> None:
    """Every assertion against every answer."""
    of = RECORDED["promptfoo"]
    tests = [{"vars": {"city": "Paris"}, "assert": [each]} for each in of["assertions"]]
    found = promptfoo.read({"prompts": ["About {{city}}"], "tests": tests})
    assert found.untaken == []
    made = golden(found, tmp_path)
    for number, (written, row) in enumerate(zip(of["assertions"], of["rows"], strict=True)):
        kind = written["type"].removeprefix("not-")
        known = {"  "} if kind == "is-refusal" else set[str]()
        for answer, verdict in zip(of["answers"], row, strict=True):
            assert passes(made, number, answer) is (verdict == "+") or answer in known, (written, answer)
