"""A LoRA adapter on real vLLM: loaded while it serves, asked by its name, and gone again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_models.replica.environment import Found, find_python
from local_models.weights.cache import cache_home
from runtime.trust.admin_key import local_admin_key
from tests.engine.serving import PARIS, Serving, cloud

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1200)]

# An adapter of rank 1 that shifts every attention output of the last layers by a large amount: the text becomes another.
_MAKE = """
import json, sys, torch
from safetensors.torch import save_file
home, out = sys.argv[1], sys.argv[2]
config = json.load(open(home + "/config.json"))
hidden, layers = config["hidden_size"], config["num_hidden_layers"]
torch.manual_seed(0)
weights = {}
for layer in range(layers):
    name = f"base_model.model.model.layers.{layer}.self_attn.o_proj"
    weights[name + ".lora_A.weight"] = torch.randn(1, hidden)
    weights[name + ".lora_B.weight"] = torch.randn(hidden, 1)
save_file(weights, out + "/adapter_model.safetensors")
json.dump({"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["o_proj"], "bias": "none",
           "base_model_name_or_path": home, "task_type": "CAUSAL_LM"}, open(out + "/adapter_config.json", "w"))
"""


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an adapter for the built-in model."""
    home = next(cache_home({}).glob("models/smollm2-135m-*"), None)
    if home is None:
        pytest.skip("the built-in model is not here: tests/engine/test_builtin_model.py fetches it")
    found = find_python("cpu", env={}, cache=cache_home({}))
    if not isinstance(found, Found):
        pytest.skip(found.reason)
    folder = tmp_path_factory.mktemp("adapter")
    subprocess.run([found.python, "-c", _MAKE, str(home), str(folder)], check=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("adapters")
    with cloud() as port:
        served = Serving(folder, port, hang_s=60.0, engine="max_loras = 2\nmax_lora_rank = 8\n")
        try:
            served.wait_ready()
            yield served
        finally:
            served.end()


def commanded(serving: Serving, path: str, **wish: Any) -> Any:
    key = {"authorization": f"Bearer {local_admin_key(serving.state)}"}
    return serving.http.post(f"/hearth/adapters/{path}", json=wish, headers=key, timeout=300)


def said(serving: Serving, model: str) -> str:
    answer = serving.chat(PARIS, model=model, max_tokens=8)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def test_an_adapter_comes_and_goes(serving: Serving, adapter: Path) -> None:
    """Under its own name it says something else than the model; the model itself is not changed by it."""
    assert serving.chat(PARIS, model="local/odd").status_code == 404
    before = said(serving, "local")
    assert "Paris" in before
    loaded = commanded(serving, "odd/load", folder=str(adapter))
    assert loaded.status_code == 200, loaded.text
    (row,) = loaded.json()["data"]
    assert (row["name"], row["target"], row["ready"]) == ("odd", "local", True)
    assert "local/odd" in [each["id"] for each in serving.http.get("/v1/models").json()["data"]]
    answer = serving.chat(PARIS, model="local/odd", max_tokens=8)
    assert (answer.status_code, answer.headers["x-hearth-target"]) == (200, "local/odd"), answer.text
    assert answer.json()["choices"][0]["message"]["content"] != before
    assert said(serving, "local") == before
    assert commanded(serving, "odd/load", folder=str(adapter)).status_code == 409
    assert commanded(serving, "odd/unload").status_code == 200
    assert serving.chat(PARIS, model="local/odd").status_code == 404
    assert said(serving, "local") == before


def test_an_adapter_that_the_engine_cannot_take(serving: Serving, adapter: Path, tmp_path: Path) -> None:
    """Its rank is too high: refused by its files. Its kind is one that vLLM lacks: refused in vLLM's words."""
    config = json.loads((adapter / "adapter_config.json").read_text())
    (tmp_path / "adapter_model.safetensors").write_bytes((adapter / "adapter_model.safetensors").read_bytes())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"r": 64}))
    refused = commanded(serving, "wide/load", folder=str(tmp_path))
    assert refused.status_code == 409 and "raise max_lora_rank" in refused.text
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"use_dora": True}))
    refused = commanded(serving, "wide/load", folder=str(tmp_path))
    assert refused.status_code == 409 and "DoRA" in refused.text
    assert "Paris" in said(serving, "local")
