"""The verdicts of Inspect, promptfoo and OpenAI evals on recorded answers, which tests compare with those of the imported sets.

    python -m scripts.verdicts --inspect VENV/bin/python --promptfoo node_modules/.bin/promptfoo --openai VENV/bin/python

Each is installed by hand in a place of its own (`pip install inspect-ai`, `npm install promptfoo`, `pip install evals`):
together they are 1.5 GB and more, too much for every machine that runs the tests. Writes
tests/runtime/quality/golden/verdicts.json: for each target or assertion a row with one character for each answer, + for a pass.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "tests" / "runtime" / "quality" / "golden" / "verdicts.json"
_QUIET = ("TELEMETRY", "UPDATE", "REMOTE_GENERATION")
_WITHIN_S = 600
_INSPECT = """
import asyncio, json, sys
from importlib.metadata import version
from inspect_ai.model import ChatMessageUser, ModelOutput
from inspect_ai.scorer import Target, choice, exact, includes, match
from inspect_ai.solver import TaskState, multiple_choice

SCORERS = {"match": match(), "includes": includes(), "exact": exact(), "number": match(numeric=True), "choice": choice()}

async def verdict(how, target, answer):
    output = ModelOutput.from_content("none/none", answer)
    about = {"model": "none/none", "sample_id": 1, "epoch": 1, "input": "x", "output": output}
    if how == "choice":
        async def generate(state, **more):
            state.output = output
            return state
        state = TaskState(**about, messages=[ChatMessageUser(content="x")], choices=["red", "green", "blue", "grey"])
        state = await multiple_choice()(state, generate)
    else:
        state = TaskState(**about, messages=[])
    return "+" if (await SCORERS[how](state, Target(target))).value == "C" else "-"

async def main():
    given = json.load(sys.stdin)
    found = {how: ["".join([await verdict(how, target, answer) for answer in given["answers"]]) for target in targets]
             for how, targets in given["targets"].items()}
    json.dump({"version": version("inspect-ai"), "rows": found}, sys.stdout)

asyncio.run(main())
"""
_OPENAI = """
import json, sys
from importlib.metadata import version
import evals.api
from evals.elsuite import utils

evals.api.record_match = lambda *_, **more: None

def listed(ideal):
    return ideal if isinstance(ideal, list) else [ideal]

def match(ideal, answer):
    return evals.api.record_and_check_match(prompt="x", sampled=answer, expected=ideal) is not None

def includes(ideal, answer):
    return any(utils.get_answer(answer, each) is not None for each in listed(ideal))

def fuzzy(ideal, answer):
    return any(utils.fuzzy_match(answer, each) for each in listed(ideal))

EVALS = {"match": match, "includes": includes, "fuzzy": fuzzy}
given = json.load(sys.stdin)
found = {how: ["".join("+" if EVALS[how](target, answer) else "-" for answer in given["answers"]) for target in targets]
         for how, targets in given["targets"].items()}
json.dump({"version": version("evals"), "rows": found}, sys.stdout)
"""
_PROVIDER = """
module.exports = class {
  id() { return "recorded"; }
  async callApi(prompt, context) { return { output: context.vars.answer }; }
};
"""


def of_python(program: str, python: str, given: dict[str, Any]) -> dict[str, Any]:
    """The rows of each scorer. python: the interpreter that runs the program."""
    env = {**os.environ, "OPENAI_API_KEY": "none"}  # OpenAI evals make a client when they are imported
    made = subprocess.run(
        [python, "-c", program],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
        timeout=_WITHIN_S,
        env=env,
    )
    found: dict[str, Any] = json.loads(made.stdout)
    return found


def of_promptfoo(program: str, given: dict[str, Any]) -> dict[str, Any]:
    """A row for each assertion. The provider gives the recorded answer."""
    tests = [
        {"vars": {"city": "Paris", "answer": answer}, "assert": [each]}
        for each in given["assertions"]
        for answer in given["answers"]
    ]
    with tempfile.TemporaryDirectory() as made:
        folder, path = Path(made), str(Path(program).resolve(strict=False))
        (folder / "provider.js").write_text(_PROVIDER)
        settings = {"prompts": ["About {{city}}"], "providers": ["file://provider.js"], "tests": tests}
        (folder / "settings.json").write_text(json.dumps(settings))
        env = {**os.environ, **{f"PROMPTFOO_DISABLE_{name}": "1" for name in _QUIET}, "PROMPTFOO_CONFIG_DIR": made}
        command = [path, "eval", "-c", "settings.json", "-o", "out.json", "--no-cache", "--no-table", "--no-write"]
        # It ends with 100 where a test failed, as many do here.
        subprocess.run(command, cwd=folder, env=env, capture_output=True, check=False, timeout=_WITHIN_S)
        out = json.loads((folder / "out.json").read_text())
    passed = {each["testIdx"]: each["success"] for each in out["results"]["results"]}
    line = "".join("+" if passed[number] else "-" for number in range(len(tests)))
    wide = len(given["answers"])
    rows = [line[start : start + wide] for start in range(0, len(line), wide)]
    return {"version": out["metadata"]["promptfooVersion"], "rows": rows}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.verdicts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inspect", metavar="PYTHON", help="the interpreter that has inspect-ai")
    parser.add_argument("--promptfoo", metavar="PROGRAM")
    parser.add_argument("--openai", metavar="PYTHON", help="the interpreter that has evals")
    options = parser.parse_args(arguments)
    known = json.loads(FILE.read_text())
    for name, program, ask in (
        ("inspect", options.inspect, partial(of_python, _INSPECT)),
        ("promptfoo", options.promptfoo, of_promptfoo),
        ("openai", options.openai, partial(of_python, _OPENAI)),
    ):
        if program:
            known[name] |= ask(program, known[name])
    FILE.write_text(json.dumps(known, ensure_ascii=False, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
