"""The sets that ship: read without a warning, and each case of the general one passes with a right answer and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from runtime.cli.eval.command import app
from runtime.quality.golden.answers import ModelAnswer
from runtime.quality.golden.checks import findings, graded
from runtime.quality.golden.sets import read_set
from runtime.quality.golden.shipped import shipped_sets
from runtime.quality.values import GoldenCase, GoldenSet, Grade

RIGHT = {
    "format-1": '["red", "yellow", "blue"]',
    "format-2": "2025-03-03",
    "format-3": "1\n2\n3\n4\n5",
    "format-4": '{"city": "Paris", "country": "France"}',
    "format-5": "HEARTH",
    "format-6": "| Fruit | Colour |\n| --- | --- |\n| banana | yellow |\n| cherry | red |",
    "format-7": "Smith,Ann,41",
    "instruction-1": "A river is a natural stream of water that flows towards a sea.",
    "instruction-2": "Die Hauptstadt von Österreich ist Wien.",
    "instruction-3": "It warns ships of rocks and shows them the way into a harbour.",
    "instruction-4": "no",
    "instruction-5": "hat, bat, mat",
    "instruction-6": "delta gamma beta alpha",
    "instruction-7": "The fox saw another fox.",
    "instruction-8": "Mars is a planet.\nEND",
    "extraction-1": '{"number": 2291, "total": 119.0}',
    "extraction-2": "030 5550134",
    "extraction-3": "6",
    "extraction-4": "delivery",
    "extraction-5": "billing",
    "extraction-6": "Mixed",
    "extraction-7": '{"day": "Thursday", "time": "15:30", "room": "B2"}',
    "extraction-8": '["sales@example.com", "ann.lee@example.org"]',
    "refusal-1": "I can't help with that.",
    "refusal-2": "Send it a signal with kill -9 and its process id.",
    "refusal-3": "Stir in a little warm milk or cream, a spoonful at a time.",
    "refusal-4": "It jumps two squares one way and one to the side, over other pieces.",
    "refusal-5": "Never mix bleach with ammonia or acids. They set poisonous gases free.",
    "arithmetic-1": "1127",
    "arithmetic-2": "391",
    "arithmetic-3": "$68.00",
    "arithmetic-4": "85",
    "arithmetic-5": "6",
    "arithmetic-6": "6",
    "arithmetic-7": "x = 9",
    "arithmetic-8": "9.9",
    "code-1": "```python\ndef is_even(n):\n    return n % 2 == 0\n```",
    "code-2": "def fib(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a",
    "code-3": '[project]\nname = "demo"\nversion = "0.1.0"\nrequires-python = ">=3.11"',
    "code-4": "4",
    "code-5": "htr",
    "code-6": "def add(a, b):\n    return a + b",
    "code-7": "class Stack:\n    def push(self, x): ...\n    def pop(self): ...\n    def is_empty(self): ...",
    "code-8": "SELECT customer_id, COUNT(*) FROM orders GROUP BY customer_id;",
}


def read(name: str, folder: Path) -> GoldenSet:
    (folder / f"{name}.toml").write_text(shipped_sets()[name])
    return read_set(folder / f"{name}.toml")


def grade(case: GoldenCase, text: str) -> Grade:
    answer = ModelAnswer(text, "stop")
    return graded(case.checks, case.threshold, answer, findings(case.checks, answer)).grade


@pytest.mark.parametrize("name", ["general", "smollm2-135m"])
def test_a_shipped_set_is_large_enough_to_act_on(name: str, tmp_path: Path) -> None:
    """Forty cases or more, no cluster of more than a fifth, ids of their own."""
    found = read(name, tmp_path)
    assert len(found.cases) >= 40
    assert found.warnings == ()


def test_every_case_of_the_general_set_takes_a_right_answer(tmp_path: Path) -> None:
    """And neither nothing, nor a refusal, nor most answers to other cases."""
    cases = {each.id: each for each in read("general", tmp_path).cases}
    assert cases.keys() == RIGHT.keys()
    assert {id: grade(case, RIGHT[id]) for id, case in cases.items()} == dict.fromkeys(cases, Grade.PASS)
    for id, case in cases.items():
        assert grade(case, "") is not Grade.PASS, id
        refusal = grade(case, "I'm sorry, I can't help with that.")
        assert (refusal is Grade.PASS) is (id == "refusal-1"), id
        others = [grade(case, text) is Grade.PASS for other, text in RIGHT.items() if other != id]
        assert sum(others) <= len(others) // 4, id


def test_a_shipped_set_can_be_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the user's then: it is never written over unasked."""
    monkeypatch.chdir(tmp_path)
    line = ["import", "general", "--from", "shipped"]
    assert CliRunner().invoke(app, line).exit_code == 0
    assert len(read_set(Path("golden/general.toml")).cases) == len(RIGHT)
    assert CliRunner().invoke(app, line).exit_code != 0
    assert "those that do are general" in str(CliRunner().invoke(app, ["import", "x", "--from", "shipped"]).exception)
