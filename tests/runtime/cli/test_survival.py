"""Every command against a hostile box: no reader, no disk, no characters, Ctrl-C at any moment, damaged and read-only state.

Each ends with one sentence instead of a traceback, and with an exit code of `cli/exits.py`. Real processes. A sample runs
with the fast tests; the whole table is slow.
"""

from __future__ import annotations

import ctypes
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from runtime.cli.group import COMMANDS
from tests.runtime.cli.fake_runtime import Asked, Reply, as_json, fake_runtime, stream
from tests.runtime.cli.label_runtime import LabelRuntime
from tests.runtime.cli.test_serve import engine, served
from tests.runtime.cli.test_streams import REPORT

__all__ = ["engine"]  # a fixture

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = (sys.executable, "-m", "runtime.cli")
STATE_FILES = (
    "decisions.sqlite3",
    "responses.sqlite3",
    "breakers.json",
    "engine-starts.json",
    "admin.key",
    "keys.json",
)
GARBAGE = b"\x00\xff{garbage" * 100
ENDS_WITHIN_S = 100
CAPABILITIES = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: what lets root write where nobody may
PR_CAPBSET_DROP = 24


class Ended(NamedTuple):
    code: int
    out: bytes
    err: str


# FOLDER and URL stand for the bench's.
_WRITTEN = {
    "ask": "ask hi --url URL",
    "explain": "explain größer",
    "explain live": "explain hi --live --url URL",
    "classify": "classify FOLDER/rows.jsonl --labels spam,ham -o FOLDER/out.jsonl --restart --url URL",
    "status": "status --url URL",
    "status json": "status --url URL --json",
    "models list": "models list",
    "models fit": "models fit phi-4-mini --memory 24 --concurrency 1",
    "models pull": "models pull org/none --offline",
    "models remove": "models remove org/none --yes",
    "config init": "config init FOLDER/new.toml --force",
    "config check": "config check FOLDER/hearth.toml",
    "config show": "config show --json",
    "engine list": "engine list",
    "service remove": "service remove",  # of a user who has none
    "doctor": "doctor --config FOLDER/hearth.toml",
    "help": "--help",
}
# A command without a line of its own is at least asked for its help. `serve` stands below: it ends when it is asked to.
_OTHERS = {each.name for each in COMMANDS} - {line.split()[0] for line in _WRITTEN.values()} - {"serve"}
LINES: Mapping[str, str] = _WRITTEN | {name: f"{name} --help" for name in sorted(_OTHERS)}


class Bench:
    """A folder, and a fake runtime at an address."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.state = folder / "state"
        self.state.mkdir()
        (folder / "rows.jsonl").write_text('{"text": "größer"}\n{"text": "ham"}\n')
        (folder / "hearth.toml").write_text("[server]\nport = 0\n")

    def command(self, name: str) -> list[str]:
        line = LINES[name].replace("FOLDER", str(self.folder)).replace("URL", self.url)
        return [*PROGRAM, *line.split()]

    def environ(self, **more: str) -> dict[str, str]:
        folder = str(self.folder)
        caches = {"XDG_CACHE_HOME": folder, "XDG_CONFIG_HOME": folder, "HOME": folder}
        return {**os.environ, **caches, "HEARTH_STATE_DIR": str(self.state), **more}

    def run(
        self, name: str, *, stdout: int = subprocess.PIPE, before: Callable[[], None] | None = None, **more: str
    ) -> Ended:
        """before: called in the child, before the command begins."""
        ended = subprocess.run(
            self.command(name),
            cwd=ROOT,
            env=self.environ(**more),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            preexec_fn=before,  # no thread of this test holds a lock that the child needs
            timeout=ENDS_WITHIN_S,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout or b"", ended.stderr.decode(errors="replace"))


LABELS = LabelRuntime()
PLAN: dict[str, Any] = {
    **dict.fromkeys(("candidates", "considered", "degraded"), ()),
    **dict.fromkeys(("target", "reason", "words", "task", "advice"), "é"),
    "score": 0.5,
    "prompt_tokens": 2,
    "refusal": None,
}


def answers(asked: Asked) -> Reply:
    """What a runtime says to `status`, `ask` and `explain --live`; labels to `classify`."""
    if asked.path.startswith("/hearth/status"):
        return Reply(chunks=(msgspec.json.encode(REPORT),))
    if asked.path.startswith("/hearth/explain"):
        return as_json(PLAN)
    if "structured_outputs" in asked.body or "prompt_logprobs" in asked.body:
        return LABELS(asked)
    return stream("é")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with fake_runtime(answers) as fake:
        yield Bench(tmp_path, fake.url)


def survived(name: str, ended: Ended, *allowed: int) -> None:
    """An allowed exit code and, where it is a failure, one sentence of Hearth's; never a traceback."""
    assert "Traceback" not in ended.err, (name, ended.err)
    assert ended.code in allowed, (name, ended)
    lines = [line for line in ended.err.splitlines() if line.startswith("hearth: ")]
    assert len(lines) == (1 if ended.code not in (0, 141) else 0), (name, ended)


# Exit codes of commands whose answer is no on an empty box, whatever is hostile about it.
NO = {"models pull": 1, "models remove": 1, "service remove": 1, "doctor": 1}


def closed_stdout(bench: Bench, name: str) -> None:
    """`hearth … | true`: as any program that SIGPIPE ends, and nothing is said; a command that prints nothing does its work."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        survived(name, bench.run(name, stdout=writer), 141, NO.get(name, 0))
    finally:
        os.close(writer)


def full_stdout(bench: Bench, name: str) -> None:
    """The disk under the output is full."""
    with Path("/dev/full").open("wb") as full:
        ended = bench.run(name, stdout=full.fileno())
    survived(name, ended, 1, NO.get(name, 0))
    assert ended.code == 0 or name in NO or "No space left on device" in ended.err


def full_disk(bench: Bench, name: str) -> None:
    """No file may grow: what must be written is missed in a sentence, all else is answered."""
    survived(name, bench.run(name, before=nothing_grows), 0, 1)


def nothing_grows() -> None:
    """Every write to a file fails, as on a full disk; pipes are left alone."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def ascii_locale(bench: Bench, name: str) -> None:
    """Characters that the locale lacks are escaped."""
    locale: dict[str, Any] = {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    ended = bench.run(name, before=None, **locale)
    survived(name, ended, NO.get(name, 0))
    assert ended.out.isascii()


def damaged_state(bench: Bench, name: str) -> None:
    """Garbage in every file of the state folder."""
    for each in (*STATE_FILES, "lock"):
        (bench.state / each).write_bytes(GARBAGE)
    survived(name, bench.run(name), NO.get(name, 0))


def read_only_state(bench: Bench, name: str) -> None:
    """A state folder where nothing can be made or changed."""
    bench.state.chmod(0o555)
    try:
        survived(name, bench.run(name, before=without_privileges), NO.get(name, 0), 1)
    finally:
        bench.state.chmod(0o755)


def without_privileges() -> None:
    """Folders without write permission refuse root too. Before the program begins: the bounding set holds from there on."""
    libc = ctypes.CDLL(None)
    for capability in CAPABILITIES:
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def interrupted(bench: Bench, name: str, times: int = 3) -> None:
    """Ctrl-C at random moments of its life: while it loads, works or ends."""
    began = time.monotonic()
    bench.run(name)
    usual = time.monotonic() - began
    moments = random.Random(name)  # the same each time
    for _ in range(times):
        with subprocess.Popen(
            bench.command(name),
            cwd=ROOT,
            env=bench.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            time.sleep(0.1 * usual + 0.9 * usual * moments.random())
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=ENDS_WITHIN_S)
        # Python itself ends by the signal before any line of ours has run, and in the middle of a C import.
        said = err.decode(errors="replace")
        if said.startswith("Could not import runpy"):  # Python's own words for its own start
            continue
        assert process.returncode in (130, -signal.SIGINT, NO.get(name, 0)), (name, said)
        assert "Traceback" not in said or process.returncode == -signal.SIGINT, (name, said)


HOSTILE = (closed_stdout, full_stdout, full_disk, ascii_locale, damaged_state, read_only_state, interrupted)
SAMPLE = [
    (closed_stdout, "models list"),
    (full_stdout, "explain"),
    (full_disk, "config init"),
    (ascii_locale, "explain"),
    (damaged_state, "doctor"),
    (read_only_state, "doctor"),
]


@pytest.mark.parametrize(("hostile", "name"), SAMPLE, ids=[f"{each.__name__} {name}" for each, name in SAMPLE])
def test_a_hostile_box_costs_one_sentence(bench: Bench, hostile: Callable[[Bench, str], None], name: str) -> None:
    """One command for each kind of trouble."""
    hostile(bench, name)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda each: each.__name__)
@pytest.mark.parametrize("name", LINES)
def test_every_command_survives(bench: Bench, hostile: Callable[[Bench, str], None], name: str) -> None:
    """The whole table but `serve`, which has its own below."""
    hostile(bench, name)


# -- serve


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["full disk", "ascii", "damaged", "read only"])
def test_a_server_survives(tmp_path: Path, engine: str, trouble: str) -> None:
    """It serves and ends with 0, or says in one sentence why it cannot begin and ends with 1."""
    state = tmp_path / "state"
    state.mkdir()
    more: dict[str, Any] = {"HEARTH_STATE_DIR": str(state)}
    if trouble == "ascii":
        more |= {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    if trouble == "damaged":
        for name in (*STATE_FILES, "lock"):
            (state / name).write_bytes(GARBAGE)
    before = {"full disk": nothing_grows, "read only": without_privileges}.get(trouble)
    if trouble == "read only":
        state.chmod(0o555)
    with served(tmp_path, engine, before=before, **more) as hearth:
        lines: list[str] = []
        for line in hearth.stderr:
            lines.append(line)
            if "ready:" in line:
                assert hearth.get("/health/live") == {"status": "live"}
                hearth.process.send_signal(signal.SIGINT)
        code = hearth.process.wait(ENDS_WITHIN_S)
    assert "Traceback" not in "".join(lines)
    assert code == (0 if any("ready:" in line for line in lines) else 1), lines
    assert code == 0 or sum(line.startswith("hearth: ") for line in lines) == 1, lines


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_server_is_interrupted_at_any_moment(tmp_path: Path, engine: str) -> None:
    """While it loads, starts or serves: one Ctrl-C ends it within its drain, without a traceback."""
    moments = random.Random("serve")
    began = time.monotonic()
    with served(tmp_path, engine) as hearth:
        hearth.until("ready:")
        usual = time.monotonic() - began
        assert hearth.stop() == 0
    for _ in range(5):
        with served(tmp_path, engine) as hearth:
            time.sleep(1.2 * usual * moments.random())
            hearth.process.send_signal(signal.SIGINT)
            code = hearth.process.wait(ENDS_WITHIN_S)
            said = hearth.stderr.read()
        assert code in (0, 130, -signal.SIGINT), said
        assert "Traceback" not in said or code == -signal.SIGINT, said
