"""Files of golden sets: read whole, with every fault named by its place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from runtime.quality.golden.sets import SetError, found_files, read_set, read_sets

INVOICES = """
name = "invoices"
task = "extraction"
requires = ["hipaa"]
floor = 0.8

[defaults]
temperature = 0.0
max_tokens = 400
system = "Answer in JSON."
checks = [{ finish = "stop" }]

[[case]]
id = "inv-1"
prompt = "Read this invoice: …"
cluster = "acme"
checks = [{ json = "invoice.schema.json" }, { path = "total", equals = 118.4, tolerance = 0.005 }]

[[case]]
prompt = "And this one"
max_tokens = 50
checks = [{ contains = "total" }]

[[case]]
file = "third.json"
checks = [{ python = "checks.py:good" }]
"""


def written(folder: Path, text: str = INVOICES, name: str = "invoices.toml") -> Path:
    (folder / "invoice.schema.json").write_text('{"type": "object"}')
    (folder / "third.json").write_text(json.dumps({"messages": [{"role": "user", "content": "hi"}], "seed": 1}))
    (folder / "checks.py").write_text("def good(answer, case):\n    return True\n")
    (folder / name).write_text(text)
    return folder / name


def faults(folder: Path, text: str, name: str = "set.toml") -> list[str]:
    with pytest.raises(SetError) as raised:
        read_set(written(folder, text, name))
    return [each.removeprefix(str(folder / name)) for each in raised.value.faults]


def test_a_set_is_read_with_its_defaults_and_files(tmp_path: Path) -> None:
    """Bodies are whole chat bodies without a model; schemas and programs stand in the checks."""
    found = read_set(written(tmp_path))
    assert (found.name, found.task, found.requires, found.floor) == (
        "invoices",
        "extraction",
        frozenset({"hipaa"}),
        0.8,
    )
    first, second, third = found.cases
    assert first.body == {
        "messages": [
            {"role": "system", "content": "Answer in JSON."},
            {"role": "user", "content": "Read this invoice: …"},
        ],
        "temperature": 0.0,
        "max_tokens": 400,
    }
    assert [each.kind for each in first.checks] == ["finish", "json", "path"]
    assert first.checks[1].want == {"type": "object"}
    assert second.body["max_tokens"] == 50
    assert third.body["seed"] == 1
    assert third.checks[1].options["function"] == "good"
    assert first.place == f"{tmp_path}/invoices.toml, line 13 (inv-1)"
    assert len({each.id for each in found.cases}) == 3


def test_a_case_changes_with_its_request_checks_and_files(tmp_path: Path) -> None:
    """Any of these makes another case of it; where it stands, its cluster and comments do not."""
    before = {each.id: each.hash for each in read_set(written(tmp_path)).cases}
    same = read_set(written(tmp_path, "# a comment\n" + INVOICES.replace('"acme"', '"other"')))
    assert {each.id: each.hash for each in same.cases} == before
    others = [
        INVOICES.replace("this invoice", "that invoice"),
        INVOICES.replace("0.005", "0.05"),
        INVOICES.replace("temperature = 0.0", "temperature = 0.1"),
        INVOICES.replace('finish = "stop"', 'finish = "length"'),
        INVOICES.replace('cluster = "acme"', "threshold = 0.5"),
    ]
    assert all(read_set(written(tmp_path, each)).cases[0].hash != before["inv-1"] for each in others)
    file = written(tmp_path)
    (tmp_path / "invoice.schema.json").write_text('{"type": "array"}')
    (tmp_path / "checks.py").write_text("def good(answer, case):\n    return False\n")
    after = read_set(file).cases
    assert after[0].hash != before["inv-1"]
    assert after[2].hash not in before.values()
    assert after[1].hash in before.values()


def test_jsonl_has_a_case_on_each_line(tmp_path: Path) -> None:
    """The set's own members stand in a line of their own; faults name the line."""
    lines = [
        {"set": {"name": "facts", "task": "chat", "defaults": {"checks": [{"finish": "stop"}]}}},
        {"id": "a", "prompt": "2+2?", "checks": [{"number": 4}]},
        {"id": "b", "messages": [{"role": "user", "content": "3+3?"}], "checks": [{"number": 6}]},
    ]
    file = written(tmp_path, "\n".join(map(json.dumps, lines)), "facts.jsonl")
    found = read_set(file)
    assert (found.name, found.task, [each.id for each in found.cases]) == ("facts", "chat", ["a", "b"])
    text = "\n".join(['{"id": "a", "prompt": "x"}', "", '{"id": "b", "prompt": "x", "checks": [{"nmber": 1}]}'])
    first, second = faults(tmp_path, text, "bad.jsonl")
    assert first == ", line 1 (a): it has no check, so every answer would pass"
    assert second.startswith(", line 3 (b): checks[0]: there is no check 'nmber'")
    assert faults(tmp_path, "{}\n{", "cut.jsonl")[0].startswith(" line 2: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "Invalid value"),
        ("", "it has no case"),
        ("nam = 'x'", "'nam' is no member of a set"),
        ("task = 'singing'", "task is one of"),
        ("floor = 1.2", "floor is a pass rate"),
        ("targets = []", "targets is a list"),
        ("[case]\nprompt = 'x'", "a case is written [[case]]"),
        ("[defaults]\nmodel = 'm'", "model cannot be set: the run names the model"),
        (
            "[[case]]\nchecks = [{ words = 3 }]",
            ", line 1: it needs one of prompt, messages, body and file, and has none",
        ),
        ("[[case]]\nprompt = 'x'\nfile = 'y'\nchecks = [{ words = 3 }]", "has prompt and file"),
        ("[[case]]\nprompt = 'x'\nstream = true\nchecks = [{ words = 3 }]", "stream cannot be set"),
        ("[[case]]\nbody = { model = 'm' }\nchecks = [{ words = 3 }]", "model cannot be set"),
        ("[[case]]\nprompt = 'x'\nchekcs = []", "'chekcs' is no member of a case"),
        ("[[case]]\nmessages = []\nchecks = [{ words = 3 }]", "messages is a list of turns"),
        ("[[case]]\nfile = 'gone.json'\nchecks = [{ words = 3 }]", "cannot be read"),
        ("[[case]]\nprompt = 'x'\nthreshold = 0\nchecks = [{ words = 3 }]", "threshold is above 0"),
        ("[[case]]\nid = 'a'\nprompt = 'x'\nchecks = [{ words = 3 }]\n" * 2, "line 5 (a): the id 'a' is that of"),
        ("[defaults]\nchecks = [{ word = 3 }]\n[[case]]\nprompt = 'x'", "defaults.checks[0]: there is no check 'word'"),
        ("[[case]]\nprompt = 'x'\nchecks = [{ python = 'gone.py:f' }]", "'gone.py' cannot be read"),
        (
            "[[case]]\nprompt = 'x'\nchecks = [{ python = 'checks.py:goood' }]",
            "checks[0]: 'checks.py' has no function 'goood'",
        ),
        (
            "[[case]]\nprompt = 'x'\nchecks = [{ regex = '(a' }]",
            "checks[0]: the pattern '(a' cannot be used: missing )",
        ),
        (
            "[[case]]\nprompt = 'x'\nchecks = [{ path = 'a', regex = '*' }]",
            "the pattern '*' cannot be used: nothing to",
        ),
        (
            "[[case]]\nprompt = 'x'\nchecks = [{ json = { items = { type = 'objekt' } } }]",
            "the schema is none at $.items.type: 'objekt'",
        ),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    """No set is used in part."""
    assert words in faults(tmp_path, text)[0]


@pytest.mark.parametrize(
    "reference", ["other.json#/$defs/total", "#/$defs/gone", "#gone", "http://127.0.0.1:9/schema.json", "item.json"]
)
def test_a_schema_that_refers_to_what_is_not_in_it_is_refused(tmp_path: Path, reference: str) -> None:
    """Every answer would pass under it: nothing is fetched, and no file beside it is read."""
    (tmp_path / "ref.json").write_text(json.dumps({"properties": {"total": {"$ref": reference}}}))
    for check in ('{ json = "ref.json" }', '{ tool = "t", schema = "ref.json" }'):
        (fault,) = faults(tmp_path, f"[[case]]\nprompt = 'x'\nchecks = [{check}]")
        assert f"the schema's $ref {reference!r} leads nowhere" in fault


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"id": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}},
        {"$id": "https://example.com/a", "items": {"$ref": "#n"}, "$defs": {"n": {"$anchor": "n"}}},
        {
            "$id": "https://example.com/a",
            "items": {"$ref": "/b"},
            "$defs": {"b": {"$id": "/b", "items": {"$ref": "#"}}},
        },
        {"const": {"$ref": "data, and no reference"}, "properties": {"$ref": {"type": "string"}}},
        {"items": {"$ref": "#"}},
    ],
)
def test_a_schema_may_refer_to_its_own_parts(tmp_path: Path, schema: Any) -> None:
    """By pointer, anchor, id, or the whole."""
    (tmp_path / "ref.json").write_text(json.dumps(schema))
    file = written(tmp_path, '[[case]]\nprompt = "x"\nchecks = [{ json = "ref.json" }]\n', "set.toml")
    assert read_set(file).cases[0].checks[0].want == schema


def test_files_of_every_editor_are_read(tmp_path: Path) -> None:
    """A byte order mark and line ends of Windows change no case; another encoding is named with its line."""
    text = '[[case]]\nid = "a"\nprompt = """2 and\n2"""\nchecks = [{ number = 4 }]\n'
    line = '{"id": "a", "prompt": "2 and\\n2\u2028", "checks": [{"number": 4}]}\n'
    for name, plain in (("set.toml", text), ("set.jsonl", line)):
        file, hashes = tmp_path / name, set[str]()
        for raw in (plain.encode(), plain.encode("utf-8-sig"), plain.replace("\n", "\r\n").encode("utf-8-sig")):
            file.write_bytes(raw)
            hashes.add(read_set(file).hash)
        assert len(hashes) == 1
    (tmp_path / "set.toml").write_bytes(text.replace("and", "café").encode("latin-1"))
    with pytest.raises(SetError, match=re.escape("line 3 is not UTF-8 (byte 0xe9): save it as UTF-8")):
        read_set(tmp_path / "set.toml")


def test_another_tools_file_is_no_set(tmp_path: Path) -> None:
    """Nor is a folder: neither is taken for bad TOML."""
    with pytest.raises(SetError, match=r"is a folder: name its files, as in .*\*\.toml"):
        read_set(tmp_path)
    (tmp_path / "promptfooconfig.yaml").write_text("prompts: []\n")
    with pytest.raises(SetError, match="a golden set is TOML or JSONL"):
        read_set(tmp_path / "promptfooconfig.yaml")


def test_every_fault_of_every_file_is_named(tmp_path: Path) -> None:
    """One run of the command shows all there is to mend, and two sets of one name."""
    bad = "\n".join("[[case]]\nprompt = 'x'\nchecks = [{ nothing = 1 }]" for _ in range(3))
    files = [written(tmp_path, INVOICES, name) for name in ("a.toml", "b.toml")]
    files += [written(tmp_path, bad, "c.toml"), tmp_path / "gone.toml"]
    with pytest.raises(SetError) as raised:
        read_sets(files)
    assert len(raised.value.faults) == 5
    assert "two sets have the name 'invoices'" in raised.value.faults[-1]


def test_large_clusters_and_small_sets_are_warned_of(tmp_path: Path) -> None:
    """Cases of one source fail together; a small set moves nothing."""

    def case(number: int, cluster: str) -> str:
        return f"[[case]]\nid = 'c{number}'\nprompt = 'x'\ncluster = '{cluster}'\nchecks = [{{ words = 3 }}]\n"

    def warnings(large: int) -> tuple[str, ...]:
        text = "".join(case(n, "acme" if n < large else "") for n in range(40))
        return read_set(written(tmp_path, text, "set.toml")).warnings

    assert warnings(8) == ()
    assert "9 of 40 cases are of the cluster 'acme'" in warnings(9)[0]
    assert "it has 3 cases" in read_set(written(tmp_path)).warnings[0]


def test_patterns_are_relative_to_the_settings_file(tmp_path: Path) -> None:
    """Each file is found once; a pattern without a file is no fault."""
    (tmp_path / "golden").mkdir()
    for name in ("b.toml", "a.toml"):
        (tmp_path / "golden" / name).write_text("")
    found = found_files(("golden/*.toml", f"{tmp_path}/golden/a.toml", "none/*.toml"), tmp_path)
    assert [each.name for each in found] == ["a.toml", "b.toml"]
