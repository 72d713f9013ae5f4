"""`hearth classify`: every row exactly once, through kills, cuts, bad rows and a busy runtime."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from runtime.cli.exits import Exit
from runtime.cli.group import run
from tests.runtime.cli.fake_runtime import Asked, Reply, fake_runtime
from tests.runtime.cli.label_runtime import LabelRuntime, error

ROOT = Path(__file__).resolve().parents[3]
LABELS = ("--labels", "spam,spam-like,ham", "--concurrency", "4")  # the fake's listening queue holds five


def classify(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    err = io.StringIO()
    code = run(("classify", *map(str, arguments)), io.StringIO(), err)
    shown = capsys.readouterr()
    return code, shown.out, shown.err + err.getvalue()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_rows(path: Path, count: int, start: int = 0) -> Path:
    rows = [json.dumps({"id": f"r{n}", "text": f"text {n} " + "x" * (n % 7)}) for n in range(start, start + count)]
    with path.open("a") as file:
        file.write("".join(row + "\n" for row in rows))
    return path


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "in.jsonl", 40)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def test_every_row_is_one_line_in_order_with_a_distribution(
    capsys: pytest.CaptureFixture[str], rows: Path, out: Path
) -> None:
    """Row, id, label and a probability for every label, which sum to 1."""
    with fake_runtime(LabelRuntime()) as fake:
        code, said, _ = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url)
    assert code == Exit.OK
    assert "40 of 40 rows" in said
    found = lines(out)
    assert [(line["row"], line["id"]) for line in found] == [(n + 1, f"r{n}") for n in range(40)]
    for line in found:
        assert list(line["probabilities"]) == ["spam", "spam-like", "ham"]
        assert sum(line["probabilities"].values()) == pytest.approx(1.0, abs=1e-8)
        assert line["probability"] == line["probabilities"][line["label"]] == max(line["probabilities"].values())
    assert {asked.body["model"] for asked in fake.asked} == {"local"}


def test_the_summary_is_one_json_object_for_programs(capsys: pytest.CaptureFixture[str], rows: Path, out: Path) -> None:
    """Nothing else is on stdout."""
    with fake_runtime(LabelRuntime()) as fake:
        code, said, _ = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url, "--json")
    summary = json.loads(said)
    assert code == Exit.OK
    assert summary["state"] == "complete"
    assert (summary["rows"], summary["done"], summary["errors"]) == (40, 40, 0)
    assert sum(summary["labels"].values()) == 40
    assert summary["model"] == "local/toy"


def test_no_more_tokens_are_asked_for_than_decide(capsys: pytest.CaptureFixture[str], rows: Path, out: Path) -> None:
    """The rest of the label and the end of the answer are not waited for."""
    runtime = LabelRuntime()
    with fake_runtime(runtime) as fake:
        code, _, _ = classify(capsys, rows, "--labels", "New York,Newark,ham", "-c", "2", "-o", out, "--url", fake.url)
    assert code == Exit.OK
    assert set(runtime.rooms) == {2}
    with fake_runtime(runtime := LabelRuntime()) as fake:
        classify(capsys, rows, "--labels", "spam,ham", "-c", "2", "-o", out, "--url", fake.url, "--restart")
    assert set(runtime.rooms) == {1}


def test_done_rows_are_not_asked_about_again(capsys: pytest.CaptureFixture[str], rows: Path, out: Path) -> None:
    """The same command on a whole output asks nothing and needs no runtime."""
    with fake_runtime(LabelRuntime()) as fake:
        classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url)
    before = out.read_bytes()
    code, said, _ = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url)
    assert (code, out.read_bytes()) == (Exit.OK, before)
    assert "40 of 40 rows" in said


@pytest.mark.parametrize(
    ("kept", "torn"),
    [(0, b'{"row":1'), (1, b""), (17, b'{"row":18,"id":"r17","label":"sp'), (39, b"{"), (40, b'{"row":4')],
)
def test_a_killed_run_goes_on_where_it_stopped(
    capsys: pytest.CaptureFixture[str], rows: Path, out: Path, kept: int, torn: bytes
) -> None:
    """A torn last line is cut off and its row done again; nothing is lost, nothing stands twice."""
    with fake_runtime(LabelRuntime()) as fake:
        classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url)
        whole = out.read_bytes().splitlines(keepends=True)
        out.write_bytes(b"".join(whole[:kept]) + torn)
        again = LabelRuntime()
        with fake_runtime(again) as second:
            code, _, err = classify(capsys, rows, *LABELS, "-o", out, "--url", second.url)
    assert code == Exit.OK
    assert [line["row"] for line in lines(out)] == list(range(1, 41))
    assert out.read_bytes().splitlines(keepends=True) == whole
    assert ("cut off" in err) == bool(torn)
    assert not {f"text {n} " + "x" * (n % 7) for n in range(kept)} & set(again.texts)


def test_sigkill_in_the_middle_loses_and_repeats_no_row(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, out: Path
) -> None:
    """A real process, killed while rows are in flight."""
    rows, enough, hold = write_rows(tmp_path / "in.jsonl", 300), threading.Event(), threading.Event()
    inner = LabelRuntime()

    def slow(asked: Asked) -> Reply:
        if len(inner.texts) > 150:
            enough.set()
            hold.wait(20)
        return inner(asked)

    with fake_runtime(slow) as fake:
        command = [sys.executable, "-m", "runtime.cli", "classify", str(rows), *LABELS, "-o", str(out)]
        child = subprocess.Popen([*command, "--url", fake.url], cwd=ROOT, stderr=subprocess.DEVNULL)
        try:
            assert enough.wait(20)
        finally:
            child.kill()
            child.wait()
            hold.set()
    done = len(lines(out))
    assert 0 < done < 300
    again = LabelRuntime()
    with fake_runtime(again) as fake:
        code, said, _ = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url, "--json")
    assert code == Exit.OK
    assert json.loads(said)["done_before"] == done
    assert [line["row"] for line in lines(out)] == list(range(1, 301))
    assert len({line["id"] for line in lines(out)}) == 300


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_tidily_and_says_how_to_go_on(tmp_path: Path, out: Path, number: int) -> None:
    """Whole lines, a word about going on, and exit code 130."""
    rows, enough, hold = write_rows(tmp_path / "in.jsonl", 200), threading.Event(), threading.Event()
    inner = LabelRuntime()

    def slow(asked: Asked) -> Reply:
        if len(inner.texts) > 60:
            enough.set()
            hold.wait(20)
        return inner(asked)

    with fake_runtime(slow) as fake:
        command = [sys.executable, "-m", "runtime.cli", "classify", str(rows), *LABELS, "-o", str(out)]
        child = subprocess.Popen([*command, "--url", fake.url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert enough.wait(20)
        child.send_signal(number)
        said, _ = child.communicate(timeout=10)
        hold.set()
    assert child.returncode == Exit.INTERRUPTED
    assert "the same command resumes" in said
    assert [line["row"] for line in lines(out)] == list(range(1, len(lines(out)) + 1))


def finished(capsys: pytest.CaptureFixture[str], rows: Path, out: Path, *more: str, model: str = "local/toy") -> None:
    with fake_runtime(LabelRuntime(model)) as fake:
        assert classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url, *more)[0] == Exit.OK


def test_a_changed_input_is_refused_and_nothing_is_touched(
    capsys: pytest.CaptureFixture[str], rows: Path, out: Path
) -> None:
    """The same size and one other letter is a change."""
    finished(capsys, rows, out)
    before = out.read_bytes()
    rows.write_text(rows.read_text().replace("text 3 ", "test 3 "))
    with fake_runtime(LabelRuntime()) as fake:
        code, _, err = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url)
        assert (code, out.read_bytes()) == (Exit.FAILED, before)
        assert "is not what it was" in err
        assert "--restart" in err
        assert classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url, "--restart")[0] == Exit.OK
    assert len(lines(out)) == 40


def test_rows_appended_to_the_input_are_done_and_no_others(
    capsys: pytest.CaptureFixture[str], rows: Path, out: Path
) -> None:
    """What was there before is unchanged, so its lines still hold."""
    finished(capsys, rows, out)
    before = out.read_bytes()
    write_rows(rows, 5, start=40)
    again = LabelRuntime()
    with fake_runtime(again) as fake:
        assert classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url)[0] == Exit.OK
    assert out.read_bytes().startswith(before)
    assert [line["row"] for line in lines(out)] == list(range(1, 46))
    assert not any(text.startswith("text 39 ") for text in again.texts)


def test_a_last_line_that_was_continued_is_a_changed_input(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, out: Path
) -> None:
    """It had no end when it was classified."""
    rows = tmp_path / "in.txt"
    rows.write_text("one\ntwo")
    finished(capsys, rows, out)
    rows.write_text("one\ntwo and a half\nthree\n")
    with fake_runtime(LabelRuntime()) as fake:
        code, _, err = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url)
    assert code == Exit.FAILED
    assert "continued since" in err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--describe", "spam=unwanted"), "descriptions or template have changed"),
        (("--instructions", "Sort."), "instructions"),
        (("--label", "eggs"), "the labels were spam, spam-like, ham"),
        (("--id-field", "text"), "read as"),
    ],
)
def test_another_question_is_refused(
    capsys: pytest.CaptureFixture[str], rows: Path, out: Path, change: tuple[str, ...], said: str
) -> None:
    """One output holds the answers to one question."""
    finished(capsys, rows, out)
    code, _, err = classify(capsys, rows, *LABELS, "-o", out, "--url", "http://127.0.0.1:9", *change)
    assert code == Exit.FAILED
    assert said in err


def test_another_model_is_refused_before_any_row(capsys: pytest.CaptureFixture[str], rows: Path, out: Path) -> None:
    """Its probabilities would not belong beside the others."""
    finished(capsys, rows, out)
    out.write_bytes(b"".join(out.read_bytes().splitlines(keepends=True)[:20]))
    with fake_runtime(LabelRuntime("local/other")) as fake:
        code, _, err = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url)
    assert code == Exit.FAILED
    assert "the model was local/toy, now it is local/other" in err
    assert len(lines(out)) == 20


def test_a_model_swapped_during_the_run_stops_it(capsys: pytest.CaptureFixture[str], rows: Path, out: Path) -> None:
    """What was answered before stays."""
    runtime = LabelRuntime()

    def swapping(asked: Asked) -> Reply:
        runtime.model = "local/other" if len(runtime.texts) > 25 else "local/toy"
        return runtime(asked)

    with fake_runtime(swapping) as fake:
        code, said, _ = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url, "-c", "2")
    assert code == Exit.FAILED
    assert "now answers with local/other" in said
    assert 0 < len(lines(out)) < 40


def test_bad_rows_get_a_line_with_an_error_and_the_run_goes_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, out: Path
) -> None:
    """Exit code 1 at the end, with the count."""
    rows = tmp_path / "in.jsonl"
    rows.write_bytes(
        b'{"id": 1, "text": "fine"}\n{"id": 2\n[1]\n{"id": 4}\n{"id": 5, "text": ""}\n{"id": 6, "text": 6}\n\n'
        b'{"id": 8, "text": "toolong"}\n{"id": 9, "text": "odd"}\n\xff\xfe\n{"id": 11, "prompt": "fine too"}\n\n\n'
    )
    with fake_runtime(LabelRuntime()) as fake:
        code, said, _ = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url)
    assert code == Exit.FAILED
    assert "9 rows could not be classified" in said
    found = lines(out)
    assert [line["row"] for line in found] == list(range(1, 12))
    assert [line.get("code") for line in found] == [
        None,
        "not_json",
        "not_json",
        "no_text",
        "empty",
        "no_text",
        "not_json",
        "too_long",
        "no_label",
        "not_json",
        None,
    ]
    assert [line["id"] for line in found] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]


def test_strict_stops_at_the_first_bad_row(capsys: pytest.CaptureFixture[str], tmp_path: Path, out: Path) -> None:
    """Rows before it are kept; mended, the run goes on only if the input is the same, else anew."""
    rows = tmp_path / "in.txt"
    rows.write_text("fine\n\nfine too\n")
    with fake_runtime(LabelRuntime()) as fake:
        code, said, _ = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url, "--strict", "-c", "1")
    assert code == Exit.FAILED
    assert "row 2" in said
    assert [line["row"] for line in lines(out)] == [1]


def test_a_busy_runtime_is_waited_for_as_it_asks(capsys: pytest.CaptureFixture[str], tmp_path: Path, out: Path) -> None:
    """429 is no bad row."""
    rows = tmp_path / "in.txt"
    rows.write_text("".join(f"busy {n}\n" for n in range(8)))
    with fake_runtime(LabelRuntime()) as fake:
        code, said, _ = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url, "--json")
    summary = json.loads(said)
    assert code == Exit.OK
    assert summary["waits"] == 8
    assert summary["seconds"] >= 0.2


def test_a_row_that_fails_while_others_do_not_is_bad(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried four times and then left."""
    monkeypatch.setattr("runtime.cli.bulk.verdicts.BACKOFF_FIRST_S", 0.02)
    rows = tmp_path / "in.txt"
    rows.write_text("broken\n" + "".join(f"fine {n}\n" for n in range(50)))
    with fake_runtime(LabelRuntime()) as fake:
        code, _, _ = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url, "-c", "4")
    assert code == Exit.FAILED
    found = lines(out)
    assert len(found) == 51
    assert found[0]["code"] == "failed"
    assert "500 no luck" in found[0]["error"]


def test_a_runtime_that_stays_away_stops_the_run_for_later(
    capsys: pytest.CaptureFixture[str], rows: Path, out: Path
) -> None:
    """The rows so far stay, and the same command does the rest."""
    inner = LabelRuntime()

    def failing(asked: Asked) -> Reply:
        return inner(asked) if len(inner.texts) < 20 else error(503, "the engine is starting")

    with fake_runtime(failing) as fake:
        code, said, _ = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url, "-c", "2", "--patience", "1")
    assert code == Exit.FAILED
    assert "the engine is starting" in said
    assert "the same command resumes" in said
    assert 0 < len(lines(out)) < 40
    finished(capsys, rows, out)
    assert [line["row"] for line in lines(out)] == list(range(1, 41))


def test_a_dead_runtime_says_how_to_start_it(capsys: pytest.CaptureFixture[str], rows: Path, out: Path) -> None:
    """Nothing is written."""
    with fake_runtime(LabelRuntime()) as fake:
        pass
    code, _, err = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url)
    assert code == Exit.NO_RUNTIME
    assert "hearth serve" in err
    assert out.read_bytes() == b""


def test_a_wrong_key_stops_at_once(capsys: pytest.CaptureFixture[str], rows: Path, out: Path) -> None:
    """No row will fare better."""
    with fake_runtime(lambda asked: error(401, "no key")) as fake:
        code, said, _ = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url)
    assert code == Exit.FAILED
    assert "HEARTH_API_KEY" in said
    assert len(fake.asked) <= 2


def test_two_runs_cannot_write_one_output(
    capsys: pytest.CaptureFixture[str], rows: Path, out: Path, tmp_path: Path
) -> None:
    """The second says so and touches nothing."""
    seconds: list[tuple[int, str, str]] = []
    inner = LabelRuntime()

    def meanwhile(asked: Asked) -> Reply:
        if not seconds:
            seconds.append((0, "", ""))
            command = [sys.executable, "-m", "runtime.cli", "classify", str(rows), *LABELS, "-o", str(out)]
            ended = subprocess.run(
                [*command, "--url", fake.url], check=False, cwd=ROOT, capture_output=True, text=True, timeout=30
            )
            seconds[0] = (ended.returncode, ended.stdout, ended.stderr)
        return inner(asked)

    with fake_runtime(meanwhile) as fake:
        code, _, _ = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url, "-c", "1")
    assert code == Exit.OK
    assert seconds[0][0] == Exit.FAILED
    assert "another hearth classify is writing" in seconds[0][2]


@pytest.mark.parametrize("content", [b"somebody's notes\n", b"no line end", b'{"row": 7}\n'])
def test_a_file_of_somebody_else_is_never_cut(
    capsys: pytest.CaptureFixture[str], rows: Path, out: Path, content: bytes
) -> None:
    """A mistyped -o destroys nothing."""
    out.write_bytes(content)
    code, _, err = classify(capsys, rows, *LABELS, "-o", out, "--url", "http://127.0.0.1:9")
    assert (code, out.read_bytes()) == (Exit.FAILED, content)
    assert "--restart" in err


def test_standard_input_is_read_and_cannot_be_continued(rows: Path, out: Path) -> None:
    """It is gone when the run is."""
    with fake_runtime(LabelRuntime()) as fake:
        command = [sys.executable, "-m", "runtime.cli", "classify", "-", "--format", "jsonl", *LABELS, "-o", str(out)]
        for wanted in (Exit.OK, Exit.FAILED):
            ended = subprocess.run(
                [*command, "--url", fake.url],
                check=False,
                input=rows.read_bytes(),
                cwd=ROOT,
                capture_output=True,
                timeout=30,
            )
            assert ended.returncode == wanted, ended.stderr
    assert b"save it to a file" in ended.stderr
    assert len(lines(out)) == 40


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--labels", "spam"), "at least two labels"),
        (("--labels", "a,b", "--template", "no place"), "exactly once"),
        (("--labels", "a,b", "--template", "@nowhere"), "cannot be read"),
        (("--labels", "a,b", "--describe", "c=x"), "does not begin with a label"),
    ],
)
def test_a_wrong_command_line_says_what_to_do(
    capsys: pytest.CaptureFixture[str], rows: Path, out: Path, arguments: tuple[str, ...], said: str
) -> None:
    """Before anything is opened."""
    code, _, err = classify(capsys, rows, *arguments, "-o", out)
    assert code == Exit.USAGE
    assert said in err
    assert not out.exists()


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path, out: Path) -> None:
    """With the reason."""
    code, _, err = classify(capsys, tmp_path / "nowhere.csv", *LABELS, "-o", out)
    assert code == Exit.USAGE
    assert "nowhere.csv: No such file" in err


@pytest.mark.parametrize("way", ["same", "link", "hard", "state", "template", "config"])
def test_an_output_that_is_an_input_is_refused(
    capsys: pytest.CaptureFixture[str], rows: Path, tmp_path: Path, way: str
) -> None:
    """Every file the command reads stays as it is, under whatever name the output has."""
    out, read, more = tmp_path / "other", rows, ["--restart"]
    if way == "same":
        out = rows
    elif way == "link":
        out.symlink_to(rows)
    elif way == "hard":
        out.hardlink_to(rows)
    elif way == "state":
        read = rows.rename(tmp_path / "other.state")
    elif way == "template":
        out.write_text("Sort {text} into {labels}")
        more += ["--template", f"@{out}"]
    else:
        out.write_text("[server]")
        more += ["--config", str(out)]
    before = (read.read_bytes(), out.read_bytes() if out.exists() else None)
    with fake_runtime(LabelRuntime()) as fake:
        code, _, err = classify(capsys, read, *LABELS, "-o", out, "--url", fake.url, *more)
    assert code == Exit.USAGE
    assert "are the same file" in err
    assert before == (read.read_bytes(), out.read_bytes() if out.exists() else None)


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_an_output_that_is_standard_input_is_refused(rows: Path, name: str) -> None:
    """`hearth classify - -o rows.jsonl < rows.jsonl`, as a shell starts it."""
    before = rows.read_bytes()
    command = [sys.executable, "-m", "runtime.cli", "classify", name, *LABELS, "-o", str(rows), "--restart"]
    with rows.open("rb") as opened:
        ended = subprocess.run(
            [*command, "--url", "http://127.0.0.1:9"], cwd=ROOT, stdin=opened, capture_output=True, check=False
        )
    assert ended.returncode == Exit.USAGE
    assert b"are the same file" in ended.stderr
    assert b"Traceback" not in ended.stderr
    assert rows.read_bytes() == before


@pytest.mark.parametrize("kind", ["dead", "key", "model"])
def test_a_restart_throws_nothing_away_before_a_runtime_answers(
    capsys: pytest.CaptureFixture[str], rows: Path, out: Path, kind: str
) -> None:
    """A dead runtime, a wrong key and an engine that cannot be asked leave the old rows and their state."""
    finished(capsys, rows, out)
    state = out.with_name("out.jsonl.state")
    before = out.read_bytes(), state.read_bytes()
    refused = {"key": error(401, "no key"), "model": error(400, "no such parameter"), "dead": error(500, "")}[kind]
    with fake_runtime(lambda asked: refused) as fake:
        if kind != "dead":
            code, _, _ = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url, "--restart")
    if kind == "dead":
        code, _, _ = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url, "--restart")
    assert code != Exit.OK
    assert (out.read_bytes(), state.read_bytes()) == before
    finished(capsys, rows, out, "--restart", model="local/other")
    assert [line["row"] for line in lines(out)] == list(range(1, 41))


def test_a_torn_line_stays_until_a_runtime_answers(capsys: pytest.CaptureFixture[str], rows: Path, out: Path) -> None:
    """It may be a file of somebody's own that was put in the output's place."""
    finished(capsys, rows, out)
    out.write_bytes(b"notes without a line end")
    classify(capsys, rows, *LABELS, "-o", out, "--url", "http://127.0.0.1:9")
    assert out.read_bytes() == b"notes without a line end"


def test_a_malformed_table_loses_no_row(capsys: pytest.CaptureFixture[str], tmp_path: Path, out: Path) -> None:
    """An open quote in the first row and a comma in the third are two bad rows of four, and exit code 1."""
    rows = tmp_path / "in.csv"
    rows.write_text('id,text\n1,"the handle broke\n2,fine\n3,good, but slow\n4,fine too\n')
    with fake_runtime(runtime := LabelRuntime()) as fake:
        code, _, _ = classify(capsys, rows, *LABELS, "-o", out, "--url", fake.url)
    assert code == Exit.FAILED
    assert [(line["row"], line.get("code")) for line in lines(out)] == [
        (1, "not_csv"),
        (2, None),
        (3, "not_csv"),
        (4, None),
    ]
    assert "good" not in runtime.texts
