"""The manifests of `hearth deploy kubernetes`, held against the schemas of Kubernetes' own API, unknown members refused.

kustomization.yaml is no object of that API: it is compared with the files it names. Nothing here is applied to a cluster.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.install import ROOT
from tests.packaging.conftest import tools

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(700)]  # the tool is installed on first use

VERSIONS = ("1.37", "1.30")
OWNED = """
[server]
host = "0.0.0.0"
keys = ["env:HEARTH_API_KEY"]
[engine]
model = "llama-3.1-8b"
args = ["--max-num-seqs", "64", "--tensor-parallel-size=2"]
[fleet]
key = "env:BETWEEN_US"
store = "valkey://store:6379/0"
"""
CPU = '[server]\nhost = "0.0.0.0"\nadmin_keys = ["env:HEARTH_API_KEY"]\n[engine]\ndevice = "cpu"\n'
ATTACHED = CPU.replace('device = "cpu"', 'url = ["http://pool:8000/v1"]\nkind = "pool"')


@pytest.fixture(scope="session")
def validator() -> Path:
    return tools("release-kubernetes") / "kubernetes-validate"


@pytest.fixture(params=[OWNED, CPU, ATTACHED], ids=["owned", "cpu", "attached"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder that the command wrote."""
    settings, folder = tmp_path / "hearth.toml", tmp_path / "manifests"
    settings.write_text(request.param)
    command = [
        sys.executable,
        "-m",
        "runtime.cli",
        "deploy",
        "kubernetes",
        "-o",
        str(folder),
        "--config",
        str(settings),
    ]
    env = {"PATH": "/usr/bin:/bin", "HEARTH_API_KEY": "a-secret-key", "BETWEEN_US": "another-secret-key"}
    subprocess.run(command, cwd=ROOT, env=env, capture_output=True, check=True)
    return folder


def judged(validator: Path, version: str, *files: Path) -> tuple[int, str]:
    """The exit status and the words of the validator, which refuses members that the schema does not know."""
    command = [str(validator), "--strict", "-k", version, *map(str, files)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_fits_the_api(validator: Path, written: Path, version: str) -> None:
    """Of the newest Kubernetes that the schemas know, and of one of two years ago."""
    files = [each for each in sorted(written.iterdir()) if each.name != "kustomization.yaml"]
    status, words = judged(validator, version, *files)
    assert (status, len(files)) == (0, 5), words


def test_kustomize_is_given_every_file(written: Path) -> None:
    """And nothing else."""
    shown: dict[str, Any] = yaml.safe_load((written / "kustomization.yaml").read_text())
    others = sorted(each.name for each in written.iterdir() if each.name != "kustomization.yaml")
    assert shown == {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": others,
    }


@pytest.mark.parametrize(
    ("file", "text", "other"),
    [
        ("service.yaml", "targetPort: http", "targetPort: [http]"),
        ("disruption.yaml", "maxUnavailable: 1", "maximumUnavailable: 1"),
        ("configmap.yaml", "kind: ConfigMap", "kind: ConfigMap\nimmutable: sometimes"),
    ],
)
@pytest.mark.parametrize("written", [OWNED], indirect=True)
def test_the_validator_finds_what_does_not_fit(
    validator: Path, written: Path, file: str, text: str, other: str
) -> None:
    """A wrong type, a member that nobody knows, a text for a truth value."""
    place = written / file
    before = place.read_text()
    assert before.count(text) == 1
    place.write_text(before.replace(text, other))
    assert judged(validator, VERSIONS[0], place)[0] != 0
