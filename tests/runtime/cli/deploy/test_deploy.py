"""Files for an existing cluster, compared whole with those in `golden`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from runtime.cli.deploy.command import kubernetes_wish, ray_wish
from runtime.cli.deploy.kubernetes import manifests
from runtime.cli.deploy.ray import application, engine_kwargs
from runtime.cli.deploy.yaml_text import document
from runtime.cli.exits import CommandError
from runtime.cli.group import run
from tests.runtime.settings.readings import settings

GOLDEN = Path(__file__).parent / "golden"
OWNED = """
[server]
host = "0.0.0.0"
keys = ["env:HEARTH_API_KEY"]
[engine]
model = "llama-3.1-8b"
args = ["--max-num-seqs", "64", "--enable-prefix-caching", "--tensor-parallel-size=2"]
[fleet]
key = "env:BETWEEN_US"
"""
ATTACHED = '[engine]\nurl = ["http://pool:8000/v1"]\nkind = "pool"\n'
KEYS = {"HEARTH_API_KEY": "a-secret-key", "BETWEEN_US": "another-secret-key"}


def same(name: str, text: str) -> None:
    """Compares with the file of that name; one that is missing is written, and the test fails."""
    file = GOLDEN / name
    if not file.exists():
        file.write_text(text)
        pytest.fail(f"{file} was missing: look at it and keep it")
    assert file.read_text() == text


def test_the_application_of_ray() -> None:
    """Direct streaming is in the commands; no batcher, and the external scaler, are in the file."""
    same("serve.yaml", document(application(ray_wish(settings(OWNED, KEYS), 2, 6))))


@pytest.mark.parametrize(("kind", "text"), [("owned", OWNED), ("attached", ATTACHED)])
def test_the_manifests(kind: str, text: str) -> None:
    """Of pods with an engine each, and of pods before engines that run elsewhere. No key is in any file."""
    made = manifests(kubernetes_wish(settings(text, KEYS), text, "hearth-runtime:cuda", 3))
    every = "".join(f"---\n# {name}\n{document(each)}" for name, each in made.items())
    assert not [secret for secret in KEYS.values() if secret in every]
    same(f"{kind}.yaml", every)


def test_a_long_answer_outlives_the_end_of_its_pod() -> None:
    """The grace period is longer than both drains."""
    text = OWNED.replace("[engine]", "drain = 100.0\n[engine]\ndrain = 50.0", 1)
    made = manifests(kubernetes_wish(settings(text, KEYS), text, "i", 1))
    assert made["statefulset.yaml"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 150


@pytest.mark.parametrize(
    ("args", "found"),
    [
        (["--a-b", "1", "--c"], {"a_b": 1, "c": True}),
        (["--a=0.5", "--no-b"], {"a": 0.5, "b": False}),
        (["--a", "x", "--b", "1e3"], {"a": "x", "b": 1000.0}),
        ([], {}),
    ],
)
def test_a_command_line_becomes_keyword_arguments(args: list[str], found: dict[str, Any]) -> None:
    """As vLLM spells them."""
    assert engine_kwargs(args) == found


def test_what_cannot_be_deployed_is_said() -> None:
    """An argument that belongs to no option, and a model that Ray cannot fetch."""
    with pytest.raises(ValueError, match="stray"):
        engine_kwargs(["stray"])
    with pytest.raises(CommandError, match="hub id"):
        ray_wish(settings(""), 1, 1)


def test_a_file_that_is_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless --force says otherwise; --json names files, commands and settings."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hearth.toml").write_text('[engine]\nmodel = "Qwen/Qwen3-8B"\n')
    assert run(["deploy", "ray", "--json"], io.StringIO(), io.StringIO()) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == ["serve.yaml"] and said["settings"]["engine"]["kind"] == "pool"
    before = (tmp_path / "serve.yaml").read_text()
    assert run(["deploy", "ray", "--replicas", "3"], io.StringIO(), io.StringIO()) == 2
    assert (tmp_path / "serve.yaml").read_text() == before
    assert run(["deploy", "ray", "--replicas", "3", "--force"], io.StringIO(), io.StringIO()) == 0
    assert (tmp_path / "serve.yaml").read_text() != before
    assert run(["deploy", "ray", "--replicas", "3", "--max", "2", "-o", "other"], io.StringIO(), io.StringIO()) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [{"b": 1, "c": [2]}, 3]}, "a:\n  - b: 1\n    c:\n      - 2\n  - 3\n"),
        ({"a": "on", "b": "1", "c": "x: y", "d": ""}, 'a: "on"\nb: "1"\nc: "x: y"\nd: ""\n'),
        ({"a": [], "b": {}, "c": None, "d": True}, "a: []\nb: {}\nc: null\nd: true\n"),
        ({"a": "1\n\n 2\n"}, "a: |\n  1\n\n   2\n"),
    ],
)
def test_yaml_of_plain_values(value: dict[str, Any], text: str) -> None:
    """Words that YAML would read as something else are quoted."""
    assert document(value) == text
