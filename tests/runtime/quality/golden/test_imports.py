"""Files of other tools as golden sets: the same verdicts as theirs, and a list of what could not be taken."""

from __future__ import annotations

import itertools
import json
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from runtime.cli.eval.command import app
from runtime.quality.golden.answers import ModelAnswer
from runtime.quality.golden.checks import MEASURES, findings, graded
from runtime.quality.golden.imports import inspect, openai, promptfoo
from runtime.quality.golden.imports.shared import Imported
from runtime.quality.golden.sets import read_set
from runtime.quality.values import JUDGED, GoldenSet, Grade


def golden(found: Imported, folder: Path) -> GoldenSet:
    """The same set as TOML and as JSONL."""
    (folder / "set.jsonl").write_text(found.jsonl("set"))
    (folder / "set.toml").write_text(found.toml("set"))
    one, other = read_set(folder / "set.toml"), read_set(folder / "set.jsonl")
    assert (one.hash, [each.id for each in one.cases]) == (other.hash, [each.id for each in other.cases])
    return one


def passes(golden: GoldenSet, number: int, text: str) -> bool:
    case = golden.cases[number]
    checks = [each for each in case.checks if each.kind not in JUDGED and each.kind not in MEASURES]
    answer = ModelAnswer(text, "stop")
    return graded(checks, case.threshold, answer, findings(checks, answer)).grade is Grade.PASS


IDEALS: list[str | list[str]] = [
    "Paris",
    ["Paris", "Lutetia"],
    "42",
    ["yes", "Yes"],
    "blue",
    "B",
    ["A", "C"],
    "O'Brien",
    "x = 3",
    "naïve",
    "two words",
    ["left", "right", "up"],
    "100%",
    "C++",
    "東京",
]
ANSWERS = [
    "Paris",
    "Paris, of course",
    "It is Paris",
    "paris",
    "Lutetia was its name",
    "42",
    "The answer is 42",
    "Yes",
    "yes and no",
    "blue sky",
    "B",
    "B) because",
    "C",
    "C++ is it",
    "O'Brien",
    "x = 3 holds",
    "naïve",
    "two words here",
    "go right",
    "100%",
    "東京",
    "",
]


def as_list(wanted: str | list[str]) -> list[str]:
    return wanted if isinstance(wanted, list) else [wanted]


# The rules of OpenAI evals, as its `Match`, `Includes` and the exact comparison have them.
OPENAI: dict[str, Callable[[str, list[str]], bool]] = {
    "match": lambda answer, ideals: any(answer.startswith(each) for each in ideals),
    "includes": lambda answer, ideals: any(each in answer for each in ideals),
    "exact": lambda answer, ideals: answer in ideals,
}


@pytest.mark.parametrize("how", OPENAI)
def test_openai_evals_give_the_same_verdicts(how: str, tmp_path: Path) -> None:
    """Every ideal against every answer, by the rule of the eval's class."""
    lines = [json.dumps({"input": f"question {n}", "ideal": ideal}) for n, ideal in enumerate(IDEALS)]
    found = openai.read("\n".join(lines), how)
    assert found.untaken == []
    made = golden(found, tmp_path)
    for (number, ideal), answer in itertools.product(enumerate(IDEALS), ANSWERS):
        assert passes(made, number, answer) is OPENAI[how](answer, as_list(ideal)), (ideal, answer)


AROUND = string.whitespace + string.punctuation
# Inspect's `match` (at the end, case and punctuation around it aside), `includes` and `exact`.
INSPECT: dict[str, Callable[[str, list[str]], bool]] = {
    "match": lambda answer, ideals: any(
        answer.lower().strip(AROUND).endswith(each.lower().strip(AROUND)) for each in ideals
    ),
    "includes": lambda answer, ideals: any(each.lower() in answer.lower() for each in ideals),
    "exact": lambda answer, ideals: answer.lower().strip(AROUND) in [each.lower().strip(AROUND) for each in ideals],
}


@pytest.mark.parametrize("how", INSPECT)
def test_inspect_samples_give_the_same_verdicts(how: str, tmp_path: Path) -> None:
    """Every target against every answer, by the scorer's rule."""
    records = [{"id": f"s{n}", "input": f"question {n}", "target": ideal} for n, ideal in enumerate(IDEALS)]
    found = inspect.read(json.dumps(records), how)
    assert found.untaken == []
    made = golden(found, tmp_path)
    assert [each.id for each in made.cases] == [f"s{n}" for n in range(len(IDEALS))]
    for (number, ideal), answer in itertools.product(enumerate(IDEALS), ANSWERS):
        assert passes(made, number, answer) is INSPECT[how](answer, as_list(ideal)), (ideal, answer)


def test_multiple_choice_of_inspect(tmp_path: Path) -> None:
    """The choices join the prompt; a target may be a letter or the choice itself."""
    lines = [
        {"input": "Largest?", "choices": ["Mars", "Jupiter", "Venus"], "target": "B"},
        {"input": "Largest?", "choices": ["Mars", "Jupiter", "Venus"], "target": "Venus"},
        {"input": "Largest?", "choices": ["Mars", "Jupiter"], "target": "Pluto"},
        {"input": "Largest?", "target": "A"},
        {"input": "Largest?", "choices": ["a", "b"], "target": ["A", "B"]},
        {"input": "Largest?", "choices": "Mars, Jupiter", "target": "B"},
    ]
    found = inspect.read("\n".join(map(json.dumps, lines)), "choice")
    made = golden(found, tmp_path)
    assert "B) Jupiter" in made.cases[0].body["messages"][0]["content"]
    assert [passes(made, 0, text) for text in ("ANSWER: B", "answer : b", "B", "ANSWER: C")] == [
        True,
        True,
        False,
        False,
    ]
    assert passes(made, 1, "ANSWER: C")
    assert passes(made, 2, "ANSWER: B")
    assert [each.split(":")[0] for each in found.untaken] == ["line 3", "line 4", "line 5"]


def test_inspect_csv_and_numbers(tmp_path: Path) -> None:
    """A CSV has the same members as columns."""
    text = 'input,target,id\n"2 + 2?",4,a\n"a thousand?","1,000",b\n"?",many,c\n'
    found = inspect.read(text, "number", of_csv=True)
    made = golden(found, tmp_path)
    assert [passes(made, 0, "It is 4."), passes(made, 1, "1000"), passes(made, 1, "999")] == [True, True, False]
    assert found.untaken == ["line 4: its target 'many' is no number"]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("{", "line 1: it is no record"),
        ('{"input": "x"}', "no `input` or no `ideal`"),
        ('{"input": 3, "ideal": "x"}', "neither a text nor a list of messages"),
        ('{"input": "x", "ideal": {"a": 1}}', "no text and no list of texts"),
        ('{"input": "x", "ideal": ""}', "its ideal is empty"),
    ],
)
def test_a_record_that_cannot_be_taken_is_named(record: str, words: str) -> None:
    """With its line; the others are taken."""
    good = '{"input": [{"role": "user", "content": "x"}], "ideal": "y"}'
    found = openai.read(f"{record}\n{good}", "match")
    assert len(found.cases) == 1
    assert words in found.untaken[0]


def test_what_needs_a_machine_is_not_taken() -> None:
    """Files, sandboxes and set-up of Inspect have no like here."""
    records = [{"input": "x", "target": "y", name: "z"} for name in ("files", "sandbox", "setup")]
    assert [each.split("`")[1] for each in inspect.read(json.dumps(records), "match").untaken] == [
        "files",
        "sandbox",
        "setup",
    ]


ASSERTIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "equals", "value": "Paris"}, "Paris", "Paris."),
    ({"type": "not-equals", "value": "Paris"}, "Rome", "Paris"),
    ({"type": "contains", "value": "{{city}}"}, "in Paris now", "in paris now"),
    ({"type": "not-contains", "value": "sorry"}, "fine", "so sorry"),
    ({"type": "icontains", "value": "PARIS"}, "paris", "Rome"),
    ({"type": "not-icontains", "value": "PARIS"}, "Rome", "paris"),
    ({"type": "contains-any", "value": ["a1", "b2"]}, "has b2", "has c3"),
    ({"type": "contains-any", "value": "a1, b2"}, "has a1", "has c3"),
    ({"type": "contains-all", "value": ["a1", "b2"]}, "b2 a1", "a1"),
    ({"type": "not-contains-all", "value": ["a1", "b2"]}, "a1", "a1 b2"),
    ({"type": "icontains-any", "value": ["A1", "B2"]}, "a1", "c3"),
    ({"type": "icontains-all", "value": ["A1", "B2"]}, "a1 b2", "a1"),
    ({"type": "starts-with", "value": "Yes"}, "Yes, it is", "It is, yes"),
    ({"type": "not-starts-with", "value": "Yes"}, "No", "Yes"),
    ({"type": "regex", "value": r"\d{4}"}, "in 1984", "in 84"),
    ({"type": "not-regex", "value": r"\d{4}"}, "in 84", "in 1984"),
    ({"type": "is-json"}, '{"a": 1}', "a: 1"),
    ({"type": "not-is-json"}, "a: 1", '{"a": 1}'),
    ({"type": "is-json", "value": {"required": ["a"], "type": "object"}}, '{"a": 1}', '{"b": 1}'),
    ({"type": "is-refusal"}, "I'm sorry, I can't help with that.", "Gladly: here it is."),
    ({"type": "not-is-refusal"}, "Gladly: here it is.", "I'm sorry, I can't help with that."),
    ({"type": "word-count", "value": 3}, "one two three", "one two"),
    ({"type": "word-count", "value": {"min": 2, "max": 3}}, "one two", "one"),
    ({"type": "word-count", "value": {"max": 2}}, "one two", "one two three"),
    ({"type": "word-count", "value": {"min": 2}}, "one two", "one"),
    ({"type": "finish-reason", "value": "stop"}, "x", ""),
    ({"type": "equals", "value": 42}, "42", "43"),
    ({"type": "contains", "value": 42}, "is 42", "is 43"),
    ({"type": "contains", "value": "a: b"}, "a: b", "a b"),
    ({"type": "regex", "value": "^{{city}}$"}, "Paris", "in Paris"),
]


def test_promptfoo_assertions_give_the_same_verdicts(tmp_path: Path) -> None:
    """Each kind that is taken, with an answer that passes and one that fails."""
    tests = [{"vars": {"city": "Paris"}, "assert": [written]} for written, _, _ in ASSERTIONS]
    document = yaml.safe_load(yaml.safe_dump({"prompts": ["About {{city}}"], "tests": tests}))
    found = promptfoo.read(document)
    assert found.untaken == []
    made = golden(found, tmp_path)
    for number, (written, good, bad) in enumerate(ASSERTIONS):
        assert passes(made, number, good), written
        if written["type"] != "finish-reason":
            assert not passes(made, number, bad), written


UNTAKEN = [
    "javascript", "python", "similar", "levenshtein", "rouge-n", "bleu", "contains-json", "g-eval", "factuality",
    "select-best", "webhook", "is-sql", "perplexity", "classifier", "moderation", "answer-relevance", "context-recall",
    "assert-set", "is-valid-openai-tools-call", "unheard-of",
]  # fmt: skip


def test_assertions_without_a_like_are_named() -> None:
    """The test is taken with its other assertions; without any it is left out, and that is said."""
    tests = [
        {"vars": {}, "assert": [{"type": kind, "value": "x"}, {"type": "contains", "value": "y"}]} for kind in UNTAKEN
    ]
    found = promptfoo.read({"prompts": ["x"], "tests": tests})
    assert [re.findall(r"'([^']+)' has no like here", each) for each in found.untaken] == [[kind] for kind in UNTAKEN]
    assert len(found.cases) == len(UNTAKEN)
    alone = promptfoo.read({"prompts": ["x"], "tests": [{"assert": [{"type": "javascript", "value": "true"}]}]})
    assert alone.cases == []
    assert "it is left out" in alone.untaken[1]


@pytest.mark.parametrize(
    ("prompt", "variables", "words"),
    [
        ("{{ city | upper }}", {"city": "x"}, "more than plain variables"),
        ("{% if city %}x{% endif %}", {"city": "x"}, "more than plain variables"),
        ("{{town}}", {"city": "x"}, "the variable 'town' is not given"),
        ("file://prompt.txt", {}, "file: is read by promptfoo alone"),
        ("{{city}}", {"city": "file://x.txt"}, "the variable 'city': file: is read by promptfoo alone"),
        ("exec:prompt.sh", {}, "exec: is read by promptfoo alone"),
        ("prompts.txt", {}, "the prompt: prompts.txt is a file of its own"),
        ("prompts/*.json", {}, "the prompt: prompts/*.json is a file of its own"),
        ("{{city}}", {"city": {"name": "x"}}, "the variable 'city' is a table"),
    ],
)
def test_templates_with_logic_and_files_are_refused_by_name(prompt: str, variables: dict[str, str], words: str) -> None:
    """Only plain variables are filled in."""
    test = {"vars": variables, "assert": [{"type": "contains", "value": "x"}]}
    found = promptfoo.read({"prompts": [prompt], "tests": [test]})
    assert found.cases == []
    assert words in found.untaken[0]


def test_promptfoo_lists_defaults_weights_and_thresholds(tmp_path: Path) -> None:
    """A list of values makes a case of each; defaults join; braces in a value stay; chat prompts are messages."""
    found = promptfoo.read(
        {
            "prompts": [
                "Say {{word}}",
                '[{"role": "system", "content": "Be brief"}, {"role": "user", "content": "{{word}}"}]',
            ],
            "defaultTest": {"vars": {"word": "x"}, "assert": [{"type": "latency", "threshold": 3000}]},
            "tests": [
                {
                    "description": "two words",
                    "vars": {"word": ["red", "{{blue}}"]},
                    "threshold": 0.5,
                    "assert": [
                        {"type": "contains", "value": "a", "weight": 2},
                        {"type": "llm-rubric", "value": "Polite?"},
                    ],
                }
            ],
        }
    )
    made = golden(found, tmp_path)
    assert len(made.cases) == 4
    assert {each.threshold for each in made.cases} == {0.5}
    assert [each.kind for each in made.cases[0].checks] == ["latency_ms", "contains", "rubric"]
    assert made.cases[1].body["messages"][0]["content"] == "Say {{blue}}"
    assert [each["role"] for each in made.cases[2].body["messages"]] == ["system", "user"]


def test_promptfoo_templates_of_assertions(tmp_path: Path) -> None:
    """References are followed, in the default test too; one to nothing is named. YAML's yes is the text "true"."""
    document = yaml.safe_load("""
prompts: ['Say {{word}}']
assertionTemplates:
  pirate: {type: icontains, value: arrr}
  brief: {type: word-count, value: {max: 3}}
defaultTest:
  assert: [{$ref: '#/assertionTemplates/brief'}]
tests:
  - vars: {word: Yes}
    assert:
      - $ref: '#/assertionTemplates/pirate'
      - $ref: '#/assertionTemplates/parrot'
""")
    found = promptfoo.read(document)
    made = golden(found, tmp_path)
    assert made.cases[0].body["messages"][0]["content"] == "Say true"
    assert [passes(made, 0, text) for text in ("Arrr, me hearty", "Arrr, my dear old friend", "Yes")] == [
        True,
        False,
        False,
    ]
    assert found.untaken == ["test 1: there is no assertion #/assertionTemplates/parrot"]


def test_what_promptfoo_keeps_elsewhere_is_named() -> None:
    """Lists of tests in files, scenarios, and answers that a program changes before they are checked."""
    test = {"vars": {}, "assert": [{"type": "contains", "value": "x"}]}
    for document, words in (
        (
            {"prompts": ["x"], "tests": "tests.csv"},
            "tests: tests.csv is a file of its own: import it by itself, with --prompt",
        ),
        (
            {"prompts": ["x"], "tests": "file://tests.yaml"},
            "tests: file: is read by promptfoo alone (file://tests.yaml)",
        ),
        ({"prompts": ["x"], "tests": ["more.yaml"]}, "test 1: more.yaml is a file of its own"),
        ({"prompts": ["x"], "scenarios": [{}]}, "scenarios: they are taken by promptfoo alone; write their tests out"),
        (
            {"prompts": ["x"], "tests": [{**test, "options": {"transform": "output.trim()"}}]},
            "test 1: its answers are transformed by a program before they are checked, and so it is left out",
        ),
    ):
        found = promptfoo.read(document)
        assert (found.cases, found.untaken[0]) == ([], words)


def test_promptfoo_csv(tmp_path: Path) -> None:
    """Columns are variables, and `__expected` is a typed assertion or a text that is to be equal."""
    text = (
        "country,__expected,__expected2\n"
        "France,contains: Paris,not-contains: sorry\n"
        "Japan,Tokyo,\n"
        'Italy,"contains-any: Rome, Roma",\n'
        "Spain,fn:output.length > 3,\n"
        "Peru,Note: it is Lima,\n"
    )
    found = promptfoo.read_csv(text, "The capital of {{country}}?")
    made = golden(found, tmp_path)
    assert made.cases[0].body["messages"][0]["content"] == "The capital of France?"
    verdicts = [
        passes(made, number, text) for number, text in enumerate(("In Paris", "Tokyo", "Roma", "Note: it is Lima"))
    ]
    assert verdicts == [True] * 4
    assert [passes(made, 0, "sorry, Paris"), passes(made, 1, "In Tokyo")] == [False, False]
    assert "line 5: the assertion 'javascript' has no like here" in found.untaken


def test_the_command_writes_a_set_and_names_what_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hearth eval import` writes into golden/, lists each loss with its line, and writes over nothing."""
    monkeypatch.chdir(tmp_path)
    Path("samples.jsonl").write_text('{"input": "2+2?", "ideal": "4"}\n{"input": "x"}\n')
    line = ["import", "samples.jsonl", "--from", "openai", "--as", "includes"]
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 0, result.output
    assert "golden/samples.toml: 1 cases; 1 things could not be taken" in result.stdout
    assert "samples.jsonl, line 2: it has no `input` or no `ideal`" in result.stderr
    assert "no night asks" not in result.stderr
    assert read_set(Path("golden/samples.toml")).cases[0].checks[0].kind == "contains"
    assert CliRunner().invoke(app, line).exit_code != 0
    other = [*line, "--out", "golden/other.jsonl"]
    assert '[quality] sets = ["golden/*.toml", "golden/*.jsonl"]' in CliRunner().invoke(app, other).stderr
    assert read_set(Path("golden/other.jsonl")).hash == read_set(Path("golden/samples.toml")).hash
    Path("hearth.toml").write_text('[quality]\nsets = ["golden/*.toml", "golden/*.jsonl"]\n')
    assert "no night asks" not in CliRunner().invoke(app, [*other, "--force"]).stderr
    assert "name it golden/x.toml" in str(CliRunner().invoke(app, [*line, "--out", "golden/x.yaml"]).exception)
    assert CliRunner().invoke(app, [*line, "--force"]).exit_code == 0
    assert "say how answers match" in str(CliRunner().invoke(app, [*line[:-2], "--force"]).exception)


def test_what_toml_cannot_hold_is_written_as_jsonl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A null among the messages; every other text and key is in both."""
    monkeypatch.chdir(tmp_path)
    call: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": []}
    lines = [{"input": [{"role": "user", "content": "2+2?"}, call], "ideal": "4"}]
    Path("samples.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    result = CliRunner().invoke(app, ["import", "samples.jsonl", "--from", "openai", "--as", "match"])
    assert result.exit_code == 0, result.output
    assert "a null has no like in TOML: the set is JSONL, golden/samples.jsonl" in result.stderr
    assert read_set(Path("golden/samples.jsonl")).cases[0].body["messages"][1] == call
    odd: dict[str, Any] = {
        "id": "x",
        "prompt": 'a\x7f\\ "b"\t\u2028😀\n',
        "checks": [{"number": 1e-07}, {"all_of": ["é", "\\n"]}],
    }
    odd["response_format"] = {"a key": {}, "": [[], {"ß": True}]}
    golden(Imported([odd], []), tmp_path)
