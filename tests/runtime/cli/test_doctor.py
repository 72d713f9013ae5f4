"""`hearth doctor`: right verdicts over made-up boxes, and a run over this one."""

from __future__ import annotations

import fcntl
import io
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from local_models.host.gpu import GpuProcess, NoGpu
from local_models.replica.environment import Found, NotFound
from runtime.cli import box, checks
from runtime.cli.checks import FAIL, OK, WARN, CheckRow
from runtime.cli.doctor import examine
from runtime.cli.group import run
from runtime.contract.engine import Gpu
from tests.local_models.weights.safetensors import write_safetensors
from tests.runtime.cli.fake_runtime import as_json, fake_runtime

GIB = 1 << 30
H100 = Gpu(0, "H100", 80 * GIB, 40 * GIB, 0.5, 1.0)


def verdicts(rows: Sequence[CheckRow]) -> list[str]:
    return [row.verdict for row in rows]


@pytest.mark.parametrize(
    ("row", "verdict", "words"),
    [
        (checks.python_row((3, 12, 1), "Linux", "x86_64"), OK, "3.12.1"),
        (checks.python_row((3, 10, 9), "Linux", "x86_64"), FAIL, "3.11 or newer"),
        (checks.python_row((3, 12, 1), "Linux", "aarch64"), WARN, "x86-64"),
        (checks.python_row((3, 12, 1), "Darwin", "arm64"), FAIL, "[engine] url"),
        (checks.engine_row(Found(Path("/v/python"), "cuda", "0.32.0")), OK, "vLLM 0.32.0 for cuda"),
        (checks.engine_row(NotFound("no engine is installed: hearth engine install")), FAIL, "hearth engine install"),
        (checks.attached_row("http://x/v1", 200, ""), OK, "attached"),
        (checks.attached_row("http://x/v1", 401, ""), FAIL, "[engine] key"),
        (checks.attached_row("http://x/v1", None, "refused"), FAIL, "refused"),
        (checks.weights_row("m", "/cache/m", 5, offline=False), OK, "/cache/m"),
        (checks.weights_row("m", None, 93 << 20, offline=False), WARN, "hearth models pull m"),
        (checks.weights_row("m", None, None, offline=True), FAIL, "offline"),
        (checks.port_row("a:1", free=True, runtime=False, holder=None), OK, "free"),
        (checks.port_row("a:1", free=False, runtime=True, holder=None), OK, "a runtime answers"),
        (checks.port_row("a:1", free=False, runtime=False, holder="nginx (pid 3)"), FAIL, "nginx (pid 3)"),
        (checks.state_row("/s", why_not="read-only", owner=None), FAIL, "HEARTH_STATE_DIR"),
        (checks.state_row("/s", why_not=None, owner="77"), OK, "pid 77"),
        (checks.disk_row("disk", "/c", GIB // 2), FAIL, "512 MiB"),
        (checks.disk_row("disk", "/c", 3 * GIB), WARN, "3.0 GiB"),
        (checks.disk_row("disk", "/c", 30 * GIB), OK, "30.0 GiB"),
        (checks.shm_row(64 << 20, groups=False), WARN, "--shm-size"),
        (checks.shm_row(64 << 20, groups=True), FAIL, "--shm-size"),
        (checks.shm_row(None, groups=False), WARN, "/dev/shm"),
        (checks.orphans_row(()), OK, "no engine"),
        (checks.orphans_row((5, 6)), WARN, "5, 6"),
    ],
)
def test_each_fact_gets_its_verdict_and_what_to_do(row: CheckRow, verdict: str, words: str) -> None:
    """Every fault says what to do about it, in its words or behind them."""
    assert row.verdict == verdict
    assert words in row.words + row.todo
    assert row.verdict == OK or row.todo or row.check == "engine"


def test_gpus_are_described_and_their_absence_is_judged_by_the_wish() -> None:
    """None on a box without a driver is fine for auto, and a fault where cuda is asked for or a driver is loaded."""
    assert "40.0 GiB of 80.0 GiB free, driver 550.1" in next(checks.gpu_rows("auto", [H100], None, "550.1")).words
    assert verdicts(list(checks.gpu_rows("auto", [], "no driver", None))) == [OK]
    assert verdicts(list(checks.gpu_rows("cuda", [], "no driver", None))) == [FAIL]
    assert verdicts(list(checks.gpu_rows("auto", [], "not visible", "550.1"))) == [FAIL]


def test_a_gpu_that_does_not_answer_is_never_ok() -> None:
    """Each fault is a row with what to do, and "the engine runs on the CPU" is not said."""
    mismatch = "the NVIDIA driver does not answer: Driver/library version mismatch"
    (row,) = checks.gpu_fault_rows("auto", [mismatch])
    assert (row.verdict, row.words) == (FAIL, mismatch)
    assert "reboot" in row.todo
    assert not list(checks.gpu_rows("auto", [], mismatch, None, [mismatch]))
    (unknown,) = checks.gpu_fault_rows("cuda", ["CUDA_VISIBLE_DEVICES=7: 7 is no GPU of this box"])
    assert "nvidia-smi -L" in unknown.todo
    assert verdicts(list(checks.gpu_fault_rows("cpu", ["GPU 0 does not answer: GPU is lost"]))) == [WARN]


def test_gpus_hidden_on_purpose_are_fine() -> None:
    """An empty CUDA_VISIBLE_DEVICES means the CPU, driver or not."""
    (row,) = checks.gpu_rows("auto", [], "CUDA_VISIBLE_DEVICES= hides every GPU", "550.1")
    assert (row.verdict, "runs on the CPU" in row.words) == (OK, True)


def test_others_on_the_gpu_are_named_and_our_engines_are_not() -> None:
    """Small residents are passed over; unknown sizes are not."""
    work = [GpuProcess(0, 10, 30 * GIB), GpuProcess(0, 11, 20 * GIB), GpuProcess(1, 12, 70 * GIB)]
    (row,) = checks.other_work_rows([H100], work, {10: "r0"})
    assert "20.0 GiB (pids 11)" in row.words
    assert not list(checks.other_work_rows([H100], [GpuProcess(0, 13, GIB)], {}))
    assert verdicts(list(checks.other_work_rows([H100], [GpuProcess(0, 14, None)], {}))) == [WARN]


def test_absent_targets_are_a_warning_with_the_reason() -> None:
    """They do not keep the runtime from starting."""
    rows = list(checks.target_rows({"a": "openai/a"}, {"b": "its key is empty"}, "act"))
    assert verdicts(rows) == [OK, WARN]
    assert verdicts(list(checks.target_rows({}, {}, "act"))) == [OK]


def test_a_port_in_use_is_found_with_its_holder() -> None:
    """Bound by this process: not free, and named; free again afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not box.port_is_free("127.0.0.1", port)
        assert f"(pid {os.getpid()})" in (box.port_holder(port) or "")
        assert not box.answers_like_hearth("http://127.0.0.1:9")
    assert box.port_is_free("127.0.0.1", port)
    with fake_runtime(lambda asked: as_json({"status": "live"})) as fake:
        assert box.answers_like_hearth(fake.url)


def test_a_locked_state_folder_names_its_owner(tmp_path: Path) -> None:
    """Looking neither takes the lock nor changes the file."""
    assert box.lock_owner(tmp_path) is None
    with (tmp_path / "lock").open("w+") as file:
        file.write("4711")
        file.flush()
        assert box.lock_owner(tmp_path) is None
        fcntl.flock(file, fcntl.LOCK_EX)
        assert box.lock_owner(tmp_path) == "4711"


def test_folders_that_are_not_there_yet_are_judged_by_the_one_above(tmp_path: Path) -> None:
    """A state folder is made on the first start."""
    assert box.why_not_writable(tmp_path / "a" / "b") is None
    assert box.free_space(tmp_path / "a" / "b") > 0


def test_the_drivers_version_is_read(tmp_path: Path) -> None:
    """As the kernel module writes it; None where there is none."""
    file = tmp_path / "version"
    file.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar 5\n")
    assert box.driver_version(file) == "550.54.15"
    assert box.driver_version(tmp_path / "none") is None


def test_weights_are_looked_for_where_they_would_be(tmp_path: Path) -> None:
    """A folder with true weights is there, a built-in is not yet, and a name that means nothing says what to do."""
    env = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    builtin = box.look_for_weights("smollm2-135m", env)
    assert (builtin.place, builtin.fault) == (None, None)
    assert builtin.size
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    (tmp_path / "m" / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "Git LFS pointer" in (box.look_for_weights(str(tmp_path / "m"), env).fault or "")
    write_safetensors(tmp_path / "m" / "model.safetensors")
    assert box.look_for_weights(str(tmp_path / "m"), env).place == str(tmp_path / "m")
    assert "hearth models list" in box.look_for_weights("nosuch", env).todo


def test_bad_settings_end_the_examination_with_their_place(tmp_path: Path) -> None:
    """Nothing else can be judged without them."""
    file = tmp_path / "hearth.toml"
    file.write_text("[server]\nprot = 1\n")
    rows = list(examine(file, {}, NoGpu()))
    assert verdicts(rows) == [OK, OK, FAIL]
    assert f"{file}:2" in rows[2].words


def test_attached_servers_are_asked_and_nothing_local_is(tmp_path: Path) -> None:
    """With [engine] url neither GPU nor weights matter; the key is shown."""
    file = tmp_path / "hearth.toml"
    with fake_runtime(lambda asked: as_json({"data": []})) as fake:
        file.write_text(f'[engine]\nurl = "{fake.url}/v1"\nkey = "env:ENGINE_KEY"\n[server]\nport = 0\n')
        rows = list(examine(file, {"ENGINE_KEY": "k", "HOME": str(tmp_path)}, NoGpu()))
    assert {row.check for row in rows} >= {"python", "settings", "engine", "port", "state"}
    assert not {row.check for row in rows} & {"gpu", "weights", "shared memory"}
    assert (fake.asked[0].path, fake.asked[0].headers["authorization"]) == ("/v1/models", "Bearer k")


def test_a_run_over_this_box(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A port that is taken fails the whole, in words and as JSON, and nothing raises."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        file = tmp_path / "hearth.toml"
        file.write_text(f'[server]\nport = {port}\n[engine]\nurl = "http://127.0.0.1:9/v1"\n')
        err = io.StringIO()
        assert run(("doctor", "--config", str(file), "--json"), io.StringIO(), err) == 1
        shown = json.loads(capsys.readouterr().out)
        assert run(("doctor", "--config", str(file)), io.StringIO(), err) == 1
    text = capsys.readouterr().out
    assert shown["ok"] is False
    assert {"port", "engine"} <= {row["check"] for row in shown["checks"] if row["verdict"] == "fail"}
    assert "-> stop it, or set [server] port" in text
    assert "checks failed" in err.getvalue()


def test_a_model_that_is_ending_is_a_warning() -> None:
    """With its day and what to do."""
    rows = list(checks.target_rows({"a": "openai/a"}, {}, "act", ["target a: a will be retired on 2027-01-14"]))
    assert verdicts(rows) == [WARN, OK] and "2027-01-14" in rows[0].words
