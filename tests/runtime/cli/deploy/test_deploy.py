"""Files for an existing cluster, compared whole with those in `golden`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

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
RAY_SCHEMAS = (
    Path(__file__).parent / "ray_schemas.json"
)  # of Ray's own models, which tests/scale/test_ray_schemas.py makes
RAY_SETTINGS = (
    OWNED,
    '[engine]\nmodel = "Qwen/Qwen3-8B"\nmax_model_len = 8192\n',
    '[engine]\nmodel = "/models/small"\ndevice = "cpu"\nargs = ["--enforce-eager", "--dtype=bfloat16"]\n',
)
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


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with members that it does not know refused wherever it names members."""
    found: dict[str, Any] = {name: strict(each) if isinstance(each, dict) else each for name, each in schema.items()}
    for name in ("anyOf", "oneOf", "allOf"):
        if name in found:
            found[name] = [strict(each) for each in found[name]]
    return {"additionalProperties": False, **found} if "properties" in schema and "type" in schema else found


def unfit(shown: dict[str, Any]) -> list[str]:
    """What Ray's schemas find wrong with a Serve application and the model in it."""
    schemas = json.loads(RAY_SCHEMAS.read_text())
    (app,) = shown["applications"]
    (model,) = app["args"]["llm_configs"]
    serve = strict(schemas["ServeDeploySchema"])
    deployment = {"$defs": serve["$defs"], "$ref": "#/$defs/DeploymentSchema"}
    llm = strict(schemas["LLMConfig"])
    loading = {
        "$defs": llm["$defs"],
        "$ref": "#/$defs/ModelLoadingConfig",
    }  # any mapping is let through where it stands
    held = (
        (serve, shown),
        (llm, model),
        (loading, model["model_loading_config"]),
        (deployment, {"name": "d", **model.get("deployment_config", {})}),
    )
    return [fault.message for schema, value in held for fault in Draft202012Validator(schema).iter_errors(value)]


@pytest.mark.parametrize("text", RAY_SETTINGS)
def test_the_application_fits_rays_schemas(text: str) -> None:
    """As the file says it, which is read back as YAML."""
    shown = yaml.safe_load(document(application(ray_wish(settings(text, KEYS), 2, 6))))
    assert unfit(shown) == []


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        (("http_options",), "port", "eight"),
        (("applications", 0), "external_scaling", True),
        (("applications", 0, "args", "llm_configs", 0), "model", "m"),
        (("applications", 0, "args", "llm_configs", 0, "model_loading_config"), "model_id", 7),
        (("applications", 0, "args", "llm_configs", 0, "deployment_config"), "num_replicas", -1),
    ],
)
def test_the_schemas_find_what_does_not_fit(place: tuple[str | int, ...], name: str, value: Any) -> None:
    """A wrong type, a number out of its bounds, a member that Ray does not know."""
    shown = yaml.safe_load(document(application(ray_wish(settings(OWNED, KEYS), 2, 6))))
    inner = shown
    for step in place:
        inner = inner[step]
    inner[name] = value
    assert unfit(shown)


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
        (["--a.b-c", "1", "--a.d.e=x", "--a", "1", "--f.g"], {"a": 1, "f": {"g": True}}),
        (["--a.b-c", "1", "--a.d.e=x"], {"a": {"b_c": 1, "d": {"e": "x"}}}),
        (["--a", '{"b": [1]}', "--c=[1]", "--d", "{x"], {"a": {"b": [1]}, "c": [1], "d": "{x"}),
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


def test_what_the_files_do_not_bring_along_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files of keys and weights, other models; a path with a space is quoted in the commands. The settings file may be the
    user's own.
    """
    home = tmp_path / "config" / "hearth"
    home.mkdir(parents=True)
    (tmp_path / "client.key").write_text("a-secret-of-the-clients")
    (tmp_path / "client.key").chmod(0o600)
    text = f"""
      [server]
keys = ["file:{tmp_path}/client.key"]
port = 9000
socket = "/run/h.sock"
[engine]
model = "/my models/it\'s"
[models.big]
model = "Qwen/Qwen3-8B"
"""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    (home / "hearth.toml").write_text(text)
    assert run(["deploy", "kubernetes", "-o", "my files", "--json"], io.StringIO(), io.StringIO()) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["commands"] == ["kubectl apply -k 'my files'"]
    key, model, socket, others = said["notes"]
    assert "[server] socket" in socket
    assert "client.key (server.keys.0)" in key and "it's ([engine] model)" in model and "[models]" in others
    written = {each.name: yaml.safe_load(each.read_text()) for each in (tmp_path / "my files").iterdir()}
    assert written["configmap.yaml"]["data"]["hearth.toml"] == text
    container = written["statefulset.yaml"]["spec"]["template"]["spec"]["containers"][0]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    assert variables["HEARTH_SERVER__PORT"] == "8000" == str(container["ports"][0]["containerPort"])
    assert json.loads(variables["HEARTH_SERVER__KEYS"]) == [f"file:{tmp_path}/client.key"]
    assert run(["deploy", "ray", "-o", "my files/serve.yaml"], io.StringIO(), io.StringIO()) == 0
    shown = capsys.readouterr().out
    assert "serve deploy -a http://HEAD:8265 'my files/serve.yaml'" in shown and "[models.big] is not in it" in shown
    served = yaml.safe_load((tmp_path / "my files" / "serve.yaml").read_text())
    loading = served["applications"][0]["args"]["llm_configs"][0]["model_loading_config"]
    assert loading["model_source"] == "/my models/it's"


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
        ({"a": "\n  1\n2\n"}, "a: |2\n\n    1\n  2\n"),
    ],
)
def test_yaml_of_plain_values(value: dict[str, Any], text: str) -> None:
    """Words that YAML would read as something else are quoted."""
    assert document(value) == text
    assert yaml.safe_load(text) == value
