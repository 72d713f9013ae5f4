"""`hearth models`: what is listed, what fits and why, what is fetched, and the exit codes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from local_models.host.gpu import NvmlProbe
from local_models.weights import weights
from runtime.cli import models
from runtime.cli.exits import Exit
from runtime.cli.group import run
from tests.local_models.weights.safetensors import write_safetensors

GIB = 1 << 30


@pytest.fixture(autouse=True)
def empty_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is downloaded, and nothing of this machine's caches is seen."""
    for name in ("HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _nvml(*memory: int) -> SimpleNamespace:
    """NVML with GPUs of so many bytes; without one there is no driver."""

    def begin() -> None:
        if not memory:
            raise RuntimeError("NVML Shared Library Not Found")

    return SimpleNamespace(
        nvmlInit=begin,
        nvmlDeviceGetCount=lambda: len(memory),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=memory[handle], used=0),
        nvmlDeviceGetName=lambda handle: "Test GPU",
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=0),
        NVMLError_NotSupported=RuntimeError,
    )


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts GPUs of the given bytes into the box."""

    def put(*memory: int) -> None:
        monkeypatch.setattr(
            models, "NvmlProbe", lambda clock, visible: NvmlProbe(clock, visible, load=lambda: _nvml(*memory))
        )

    return put


def hearth(*arguments: str) -> tuple[int, str]:
    """Exit code, and what was written as an error by the group."""
    err = io.StringIO()
    return run(("models", *arguments), io.StringIO(), err), err.getvalue()


def test_the_list_shows_every_model_with_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each."""
    assert hearth("list") == (Exit.OK, "")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["name", "size"]
    (llama,) = [line for line in lines if line.startswith("llama-3.3-70b")]
    assert "131,072" in llama
    assert "4 x 80 GiB" in llama
    assert "Llama 3.3 Community*" in llama
    assert "\x1b" not in "".join(lines)


def test_the_list_is_there_for_programs_too(capsys: pytest.CaptureFixture[str]) -> None:
    """The same facts, with their source."""
    assert hearth("list", "--json") == (Exit.OK, "")
    facts = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    llama = facts["llama-3.1-8b"]
    assert llama["cache_bytes_per_token"] == 131_072
    assert llama["needs"] == {"gpus": 1, "memory_gib": 24}
    assert llama["engine_args"][-1] == "llama3_json"
    assert llama["path"] is None
    assert all(model["source"] for model in facts.values())


def test_what_fits_ends_with_zero_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    """Sentences, no figures without units."""
    code, _ = hearth("fit", "llama-3.1-8b", "--memory", "24", "--context", "8192", "--concurrency", "2")
    out = capsys.readouterr().out
    assert code == Exit.OK
    assert out.startswith("llama-3.1-8b fits 1 GPU: it needs ")
    assert "cache: 2.0 GiB for 2 x 8,192 tokens, 131,072 bytes a token" in out


def test_what_does_not_fit_ends_with_one_and_says_what_would(capsys: pytest.CaptureFixture[str]) -> None:
    """The way out stands last."""
    code, _ = hearth("fit", "llama-3.3-70b", "--memory", "80")
    assert code == Exit.FAILED
    assert capsys.readouterr().out.splitlines()[-1] == "  4 GPUs of this size would do"


def test_a_verdict_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """All figures in bytes."""
    code, _ = hearth("fit", "deepseek-v3.1", "--memory", "141", "--gpus", "8", "--json")
    verdict = json.loads(capsys.readouterr().out)
    assert code == Exit.OK
    assert verdict["fits"] is True
    assert verdict["tensor_parallel"] == 8
    assert verdict["need_bytes"]["cache"] == 8 * 8192 * 70_272
    assert verdict["need_bytes"]["total"] <= verdict["budget_bytes"] == int(141 * GIB * 0.9)


def test_without_memory_the_boxs_own_gpus_are_judged(
    gpus: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of equal memory with the most of it together: a model is not split over unequal ones."""
    gpus(24 * GIB, 80 * GIB, 24 * GIB)
    code, _ = hearth("fit", "llama-3.1-8b", "--concurrency", "2", "--json")
    verdict = json.loads(capsys.readouterr().out)
    assert (code, verdict["memory_bytes"], verdict["device"]) == (Exit.OK, 80 * GIB, "cuda")
    assert "this box has 1 x Test GPU (and 2 of other sizes, left out)" in verdict["reasons"]


def test_without_a_gpu_the_machines_memory_is_judged_and_said(
    gpus: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Never silently."""
    gpus()
    code, _ = hearth("fit", "smollm2-135m", "--context", "2048", "--concurrency", "1")
    out = capsys.readouterr().out
    assert code == Exit.OK
    assert "no NVIDIA driver on this machine: judged by this machine's memory" in out
    assert "smollm2-135m fits this machine's memory" in out


def test_a_driver_fault_is_not_judged_as_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The box has a GPU, only its driver does not answer."""

    def broken() -> SimpleNamespace:
        raise RuntimeError("Driver/library version mismatch")

    monkeypatch.setattr(models, "NvmlProbe", lambda clock, visible: NvmlProbe(clock, visible, load=broken))
    code, err = hearth("fit", "smollm2-135m")
    assert code == Exit.FAILED
    assert "Driver/library version mismatch" in err
    assert "--memory GIB" in err


def test_only_visible_gpus_are_judged(
    gpus: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """CUDA_VISIBLE_DEVICES leaves one of four."""
    gpus(80 * GIB, 80 * GIB, 80 * GIB, 80 * GIB)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    code, _ = hearth("fit", "llama-3.3-70b", "--json")
    verdict = json.loads(capsys.readouterr().out)
    assert (code, verdict["tensor_parallel"]) == (Exit.FAILED, 1)
    assert "this box has 1 x Test GPU" in verdict["reasons"]


def test_gpus_that_are_not_here_need_a_size(gpus: Callable[..., None]) -> None:
    """Two GPUs of how much?"""
    gpus()
    code, err = hearth("fit", "llama-3.1-8b", "--gpus", "2")
    assert code == Exit.USAGE
    assert "--memory GIB" in err


def test_weights_in_another_type_are_reckoned(capsys: pytest.CaptureFixture[str]) -> None:
    """One byte a parameter."""
    hearth("fit", "llama-3.3-70b", "--memory", "141", "--dtype", "fp8", "--kv-dtype", "fp8", "--json")
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["need_bytes"]["weights"] == 70_553_706_496
    assert verdict["need_bytes"]["cache"] == 8 * 8192 * 163_840


def test_a_folder_is_judged_by_its_own_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its config and the size of its weights."""
    config = {
        "model_type": "llama",
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    sizes = {"vocab_size": 10, "max_position_embeddings": 8192, "intermediate_size": 128, "dtype": "bfloat16"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"} | config | sizes))
    write_safetensors(tmp_path / "model.safetensors", 1000)
    code, _ = hearth("fit", str(tmp_path), "--memory", "8", "--concurrency", "1", "--json")
    need = json.loads(capsys.readouterr().out)["need_bytes"]
    assert code == Exit.OK
    assert (need["weights"], need["cache"]) == (1000, 8192 * 2 * 2 * 2 * 16 * 2)


@pytest.mark.parametrize("config", [{"model_type": "llama", "intermediate_size": {}}, {"text_config": None}, [], None])
def test_an_odd_config_ends_in_a_sentence(tmp_path: Path, config: object) -> None:
    """Never in a traceback, and never in a number."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    write_safetensors(tmp_path / "model.safetensors")
    code, err = hearth("fit", str(tmp_path), "--memory", "8")
    assert code == Exit.FAILED
    assert "cannot be judged" in err


def test_pointers_are_no_weights(tmp_path: Path) -> None:
    """A folder cloned without Git LFS does not fit, it is no model."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    for command in ("fit", "pull"):
        code, err = hearth(command, str(tmp_path))
        assert code == Exit.FAILED
        assert "git lfs pull" in err


@pytest.mark.parametrize("command", ["fit", "pull"])
def test_an_unknown_name_is_answered_with_its_neighbours(command: str) -> None:
    """In one sentence, without a traceback."""
    code, err = hearth(command, "llama-3.1-9b")
    assert code == Exit.FAILED
    assert "did you mean llama-3.1-8b" in err


def test_pulling_a_folder_says_where_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is the path, for scripts."""
    (tmp_path / "config.json").write_text("{}")
    write_safetensors(tmp_path / "model.safetensors")
    assert hearth("pull", str(tmp_path)) == (Exit.OK, "")
    assert capsys.readouterr().out.strip() == str(tmp_path)
    hearth("pull", str(tmp_path), "--json")
    assert json.loads(capsys.readouterr().out)["path"] == str(tmp_path)


def test_pulling_offline_what_is_not_here_says_so() -> None:
    """And how to get it."""
    code, err = hearth("pull", "smollm2-135m", "--offline")
    assert code == Exit.FAILED
    assert "hearth models pull smollm2-135m" in err


REPO = "org/some-model"


def fetched(cache: Path, repo: str = REPO, size: int = 5000, *, finished: bool = True) -> Path:
    """A repository as the hub's own library keeps it: blobs, and snapshots of links to them."""
    folder = cache / "huggingface" / "hub" / f"models--{repo.replace('/', '--')}"
    snapshot = folder / "snapshots" / "abc"
    for made in (snapshot, folder / "refs", folder / "blobs", folder.parent / ".locks" / folder.name):
        made.mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    write_safetensors(folder / "blobs" / "weights", size)
    (folder / "blobs" / "config").write_text("{}")
    (snapshot / "config.json").symlink_to("../../blobs/config")
    if finished:
        (snapshot / "model.safetensors").symlink_to("../../blobs/weights")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_the_list_shows_what_is_on_the_disk(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Models of the catalogue and others, whole and unfinished; links are not counted twice."""
    fetched(cache, "meta-llama/Llama-3.2-1B-Instruct", 3 << 20)
    fetched(cache, size=2 << 20, finished=False)
    (cache / "huggingface" / "hub" / "datasets--a--b").mkdir()
    assert hearth("list") == (Exit.OK, "")
    out = capsys.readouterr().out
    assert [line.split()[-2:] for line in out.splitlines() if line.startswith("llama-3.2-1b")] == [["3", "MiB"]]
    assert [line.split() for line in out.splitlines() if line.startswith(REPO)] == [[REPO, "2", "MiB", "(unfinished)"]]
    assert "on disk: 5 MiB in 2 models" in out
    hearth("list", "--json")
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["llama-3.2-1b"]["disk_bytes"] == (3 << 20) + 2 + 3  # config.json and refs/main
    assert rows["llama-3.2-1b"]["path"].endswith("/snapshots/abc")
    assert (rows[REPO]["disk_bytes"], rows[REPO]["path"]) == ((2 << 20) + 5, None)
    assert rows["smollm2-135m"]["disk_bytes"] == 0
    assert {len(row) for row in rows.values()} == {len(rows["smollm2-135m"])}


def test_removing_frees_the_disk(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of the repository goes, its locks too, and what an interrupted removal left; the neighbour stays."""
    folder, other = fetched(cache), fetched(cache, "org/other")
    (folder.parent / ".hearth-removing-models--org--gone-1").mkdir()
    assert hearth("remove", REPO, "--yes") == (Exit.OK, "")
    assert capsys.readouterr().out == f"{REPO} removed: 0 MiB are free again\n"
    assert sorted(each.name for each in folder.parent.iterdir()) == [".locks", other.name]
    assert [each.name for each in (folder.parent / ".locks").iterdir()] == [other.name]
    assert hearth("remove", "org/other", "--yes", "--json") == (Exit.OK, "")
    assert json.loads(capsys.readouterr().out) == {"name": "org/other", "path": str(other), "freed_bytes": 5005}


def test_a_built_in_model_is_removed_from_hearths_own_cache(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole or not."""
    source = weights.resolve("smollm2-135m")
    assert isinstance(source, weights.Builtin)
    folder = weights.shelf(source, cache / "hearth").folder
    folder.mkdir(parents=True)
    write_safetensors(folder / "model.safetensors", 4000)
    assert hearth("remove", "smollm2-135m", "--yes", "--json") == (Exit.OK, "")
    assert json.loads(capsys.readouterr().out)["freed_bytes"] == 4000
    assert list(folder.parent.iterdir()) == []


@pytest.mark.parametrize("use", ["argument", "option", "open"])
def test_what_a_process_uses_is_not_removed(cache: Path, use: str) -> None:
    """An engine names the folder on its command line; a download holds a file open."""
    folder = fetched(cache)
    words = {"argument": ["--model", str(folder / "snapshots" / "abc")], "option": [f"--model={folder}"], "open": []}
    program = "import sys; file = open(sys.stdin.readline().strip()); print('up', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, *words[use]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{folder / 'blobs' / 'weights' if use == 'open' else '/dev/null'}\n")
        process.stdin.flush()
        process.stdout.readline()
        code, err = hearth("remove", REPO, "--yes")
        assert code == Exit.FAILED
        assert f"{REPO} is in use by process {process.pid}; stop it first" in err
        assert folder.is_dir()
        process.stdin.close()
    assert hearth("remove", REPO, "--yes")[0] == Exit.OK


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("org/never-fetched", "--yes"), Exit.FAILED, "is not on this disk"),
        (("llama-3.1-9b", "--yes"), Exit.FAILED, "did you mean llama-3.1-8b"),
        (("./mine", "--yes"), Exit.FAILED, "there is no folder"),
        ((REPO,), Exit.USAGE, "say --yes to remove it"),
        ((REPO, "--json"), Exit.USAGE, "say --yes to remove it"),
        ((), Exit.USAGE, ""),
    ],
)
def test_a_removal_that_cannot_be_says_why(cache: Path, arguments: tuple[str, ...], code: Exit, words: str) -> None:
    """One sentence, and nothing is touched."""
    folder = fetched(cache)
    found, err = hearth("remove", *arguments)
    assert found == code
    assert words in err
    assert folder.is_dir()


def test_a_folder_of_the_users_own_is_not_removed(tmp_path: Path) -> None:
    """Hearth removes only what it fetched."""
    (tmp_path / "config.json").write_text("{}")
    code, err = hearth("remove", str(tmp_path), "--yes")
    assert code == Exit.FAILED
    assert "is a folder of your own" in err
    assert (tmp_path / "config.json").is_file()


@pytest.mark.parametrize(("answer", "code"), [("y\n", Exit.OK), ("n\n", Exit.FAILED), ("", Exit.FAILED)])
def test_on_a_terminal_it_asks(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str, code: Exit
) -> None:
    """Anything but yes keeps the files; the end of the input is no yes."""
    folder, stdin = fetched(cache), io.StringIO(answer)
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", stdin)
    assert hearth("remove", REPO)[0] == code
    assert f"Remove {REPO}, 0 MiB in {folder}? [y/N]" in capsys.readouterr().err
    assert folder.is_dir() is (code != Exit.OK)


def test_a_folder_that_may_not_be_written_is_a_sentence(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of somebody else's, or a read-only disk."""

    def refused(path: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    fetched(cache)
    monkeypatch.setattr(Path, "rename", refused)
    code, err = hearth("remove", REPO, "--yes")
    assert code == Exit.FAILED
    assert "cannot be removed: Permission denied" in err


@pytest.mark.parametrize("arguments", [("fit", "llama-3.1-8b", "--context", "0"), ("fit",), ("sit",)])
def test_a_senseless_command_line_ends_with_two(arguments: tuple[str, ...]) -> None:
    """As everywhere."""
    assert hearth(*arguments)[0] == Exit.USAGE


@pytest.mark.parametrize("command", ["list", "pull", "fit", "remove"])
def test_every_command_shows_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help is where one learns it."""
    assert hearth(command, "--help")[0] == Exit.OK
    assert f"hearth models {command}" in capsys.readouterr().out
