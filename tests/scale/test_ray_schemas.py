"""What `hearth deploy ray` writes, held against Ray's own models. Slow: they import Ray and vLLM.

The schemas of these models are kept beside the tests of the command, which need no Ray: here they are made again.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runtime.cli.deploy.command import ray_wish
from runtime.cli.deploy.ray import application
from scripts.scale import ray
from tests.runtime.cli.deploy.test_deploy import KEYS, RAY_SCHEMAS, RAY_SETTINGS
from tests.runtime.settings.readings import settings

pytestmark = [pytest.mark.scale, pytest.mark.timeout(300)]

SCHEMAS = """
import json
from ray import __version__
from ray.serve.llm import LLMConfig
from ray.serve.schema import ServeDeploySchema

def bare(value):  # without what is there to be read
    if isinstance(value, list):
        return [bare(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {key: each for key, each in value.items() if not (key in ("title", "description") and isinstance(each, str))}
    return {key: bare(each) for key, each in kept.items()}

made = {each.__name__: bare(each.model_json_schema()) for each in (ServeDeploySchema, LLMConfig)}
print(json.dumps({"ray": __version__, **made}, sort_keys=True))
"""
ACCEPTED = """
import json, sys
from ray.serve.llm import LLMConfig
from ray.serve.schema import DeploymentSchema, ServeDeploySchema

for shown in json.load(sys.stdin):
    ServeDeploySchema.model_validate(shown)
    (application,) = shown["applications"]
    (model,) = application["args"]["llm_configs"]
    LLMConfig.model_validate(model)
    DeploymentSchema.model_validate({"name": "d", **model["deployment_config"]})
print(json.dumps("accepted"))
"""


def by_ray(program: str, tmp_path: Path, given: Any = None) -> Any:
    """The last line that a program prints in Ray's environment. given: on its input."""
    environment = ray()
    if environment is None:
        pytest.skip("Ray is not installed: python -m scripts.scale")
    env = {"PATH": os.defpath, "HOME": str(tmp_path), "VLLM_TARGET_DEVICE": "cpu", "RAY_USAGE_STATS_ENABLED": "0"}
    command = [str(environment / "bin" / "python"), "-c", program]
    ended = subprocess.run(command, input=json.dumps(given), env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def test_the_kept_schemas_are_rays(tmp_path: Path) -> None:
    """One that is missing is written, and the test fails: look at it and keep it."""
    made = json.dumps(by_ray(SCHEMAS, tmp_path), sort_keys=True, separators=(",", ":")) + "\n"
    if not RAY_SCHEMAS.exists():
        RAY_SCHEMAS.write_text(made)
        pytest.fail(f"{RAY_SCHEMAS} was missing")
    assert RAY_SCHEMAS.read_text() == made


def test_rays_own_models_take_every_application(tmp_path: Path) -> None:
    """With the checks that no schema has."""
    every = [application(ray_wish(settings(text, KEYS), 2, 6)) for text in RAY_SETTINGS]
    assert by_ray(ACCEPTED, tmp_path, every) == "accepted"
