"""Commands in pipes, in locales without the characters, and under Ctrl-C: real processes, as a shell starts them."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from runtime.cli.streams import ClosedOutputError, Stderr, Stdout
from runtime.server.status import EngineStatus, StatusReport
from tests.runtime.cli.fake_runtime import FakeRuntime, Reply, fake_runtime

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = (sys.executable, "-m", "runtime.cli")
REPORT = StatusReport(
    version="0.1.0", started_at=1.0, uptime_s=1.0, address="", engine=EngineStatus(model="modèle", device="cpu")
)


@pytest.fixture
def runtime() -> Iterator[FakeRuntime]:
    """A runtime whose status names a model with an accent."""
    with fake_runtime(lambda asked: Reply(chunks=(msgspec.json.encode(REPORT),))) as fake:
        yield fake


def commands(url: str) -> list[tuple[str, ...]]:
    return [("--help",), ("config", "--help"), ("config", "show", "--json"), ("status", "--url", url)]


def test_a_closed_stdout_ends_every_command_quietly(runtime: FakeRuntime) -> None:
    """`hearth … | true`: exit code 141, as for any program that SIGPIPE ends, and nothing on stderr."""
    for arguments in commands(runtime.url):
        reader, writer = os.pipe()
        os.close(reader)
        ended = subprocess.run([*PROGRAM, *arguments], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False)
        os.close(writer)
        assert (ended.returncode, ended.stderr) == (141, b""), arguments


def test_a_watch_ends_when_its_reader_goes(runtime: FakeRuntime) -> None:
    """`hearth status --watch --json | head -1` takes one line and is over."""
    watch = [*PROGRAM, "status", "--watch", "--every", "0.1", "--json", "--url", runtime.url]
    with subprocess.Popen(watch, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert json.loads(watching.stdout.readline())["version"] == "0.1.0"
        watching.stdout.close()
        assert watching.wait(20) == 141
        assert watching.stderr.read() == b""


def test_a_full_disk_is_one_sentence() -> None:
    """Every write to /dev/full fails as on a full disk."""
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run([*PROGRAM, "--version"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False)
    assert ended.returncode == 1
    assert ended.stderr == b"hearth: stdout cannot be written: [Errno 28] No space left on device\n"


def test_streams_closed_from_the_start_are_no_fault(runtime: FakeRuntime) -> None:
    """`hearth … >&- 2>&-`."""
    for arguments in (*commands(runtime.url), ("nonsense",)):
        shell = ["sh", "-c", '"$@" >&- 2>&-; echo $?', "sh"]
        ended = subprocess.run([*shell, *PROGRAM, *arguments], cwd=ROOT, capture_output=True, check=True)
        assert ended.stdout == (b"2\n" if arguments == ("nonsense",) else b"0\n"), arguments


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("nonsense",), 2), (("config", "check", "--config", "nowhere"), 1), (("config", "show"), 0)],
)
def test_a_dead_stderr_does_not_change_the_exit_code(arguments: tuple[str, ...], code: int) -> None:
    """Notes and errors are lost; the command goes on."""
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([*PROGRAM, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=writer, check=False)
    os.close(writer)
    assert ended.returncode == code


@pytest.mark.parametrize(
    "locale", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}]
)
def test_an_ascii_locale_gets_escapes(runtime: FakeRuntime, locale: dict[str, str]) -> None:
    """Text stays readable, and JSON stays JSON."""
    as_json = ("status", "--json", "--url", runtime.url)
    for arguments in (*commands(runtime.url), as_json):
        ended = subprocess.run(
            [*PROGRAM, *arguments], cwd=ROOT, capture_output=True, env={**os.environ, **locale}, check=True
        )
        assert ended.stdout.isascii()
        if arguments == as_json:
            assert json.loads(ended.stdout)["engine"]["model"] == "modèle"


@pytest.mark.parametrize("arguments", [("status", "--watch", "--every", "0.1"), ("status",), ("ask", "hi")])
def test_ctrl_c_is_one_sentence_and_130(arguments: tuple[str, ...]) -> None:
    """Between two looks, or while the runtime keeps the command waiting."""
    reply = Reply(chunks=(msgspec.json.encode(REPORT),), hold="--watch" not in arguments)
    with fake_runtime(lambda asked: reply) as fake:
        process = [*PROGRAM, *arguments, "--url", fake.url]
        with subprocess.Popen(process, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as waiting:
            assert fake.first_asked.wait(20)
            waiting.send_signal(signal.SIGINT)
            _, err = waiting.communicate(timeout=20)
    assert waiting.returncode == 130
    assert err == b"hearth: stopped\n"


# Runs the console script, and sends SIGINT to itself where the named module is about to be imported.
_INTERRUPTED_AT = """
import signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)
module = sys.argv.pop(1)
sys.meta_path.insert(0, Finder())
from runtime.cli import main
main()
"""


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("runtime.cli.group", ["--help"]),
        ("difflib", ["status"]),
        ("runtime.cli.streams", ["serve"]),
        ("runtime.cli.launch", ["config", "show"]),
        ("runtime.cli.serve", ["serve"]),
        ("uvicorn", ["serve"]),
        ("pydantic", ["doctor"]),
        ("httpx", ["status"]),
        ("local_models.classification.labels", ["classify", "in.csv", "-o", "out"]),
    ],
)
def test_ctrl_c_while_modules_load_is_one_sentence(module: str, arguments: list[str]) -> None:
    """The first second of a command is spent on imports."""
    command = [sys.executable, "-c", _INTERRUPTED_AT, module, *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert ended.stderr == b"hearth: stopped\n"
    assert ended.returncode in (
        130,
        -signal.SIGINT,
    )  # Python itself ends by the signal where a C import was interrupted
    assert ended.stdout == b""


def test_what_typer_prints_is_escaped_too() -> None:
    """Its help, and what commands print through it."""
    locale = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    program = "import typer; from runtime.cli.streams import standard; standard(); "
    program += r"typer.echo('gr\u00f6\u00dfer \u2026'); typer.echo('\u00f6', err=True)"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=locale, capture_output=True, check=True)
    assert (ended.stdout, ended.stderr) == (b"gr\\u00f6\\u00dfer \\u2026\n", b"\\u00f6\n")


def test_arguments_are_utf_8_in_every_locale(runtime: FakeRuntime, tmp_path: Path) -> None:
    """A prompt with umlauts in the C locale; bytes that are no UTF-8 are replaced, and a name made of them is one sentence."""
    locale = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    for prompt in ("größer", b"\xff\xfe"):
        line = [*PROGRAM, "explain", prompt, "--json"]
        ended = subprocess.run(line, cwd=ROOT, env=locale, capture_output=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, b"")
        assert json.loads(ended.stdout)["target"].startswith("local/")
    missing = [*PROGRAM, "config", "check", "größer.toml"]
    ended = subprocess.run(missing, cwd=ROOT, env=locale, capture_output=True, check=False)
    assert ended.returncode == 1
    assert b"Traceback" not in ended.stderr


class _Dead(io.RawIOBase):
    name = "dead"

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_errors_swallow_what_output_raises() -> None:
    """A dead stderr costs its messages; a dead stdout ends the command."""
    assert Stderr(_Dead(), "utf-8", write_through=True).write("text") == 4
    with pytest.raises(ClosedOutputError) as raised:
        Stdout(_Dead(), "utf-8", write_through=True).write("text")
    assert raised.value.reader_gone


def test_a_character_beyond_the_basic_plane_is_escaped_as_in_json() -> None:
    """A pair of surrogates, and a lone one as it is."""
    written = io.BytesIO()
    out = Stdout(written, "ascii", errors="hearth_escape")
    out.write(json.dumps("é 🔥 \ud800", ensure_ascii=False))
    out.flush()
    assert json.loads(written.getvalue()) == "é 🔥 \ud800"
