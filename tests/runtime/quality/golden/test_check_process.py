"""Checks in processes of their own: they are stopped, and the user's programs can reach nothing."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.quality.golden.answers import ModelAnswer
from runtime.quality.golden.check_process import AnswerOrigin, Grader
from runtime.quality.golden.checks import Finding
from runtime.quality.golden.sets import read_set
from runtime.quality.values import GoldenCase, GoldenCheck, GoldenSet, Grade
from runtime.wire.child_pool import UncheckedError


@pytest.fixture
async def grader() -> AsyncIterator[Grader]:
    made = Grader(limit_s=2.0)
    yield made
    made.close()


def golden(folder: Path, check: str, program: str = "") -> tuple[GoldenSet, GoldenCase]:
    (folder / "checks.py").write_text(program)
    (folder / "set.toml").write_text(f"[[case]]\nprompt = 'x'\nchecks = [{check}]\n")
    found = read_set(folder / "set.toml")
    return found, found.cases[0]


async def test_a_pattern_without_end_is_stopped(tmp_path: Path, grader: Grader) -> None:
    """That is no verdict on the model, and the next check is made as usual."""
    hostile = golden(tmp_path, r"{ regex = '^(a+)+$' }")
    with pytest.raises(UncheckedError):
        await grader.grade(*hostile, ModelAnswer("a" * 40 + "!"))
    assert (await grader.grade(*hostile, ModelAnswer("aaa"))).grade is Grade.PASS


async def test_a_program_gives_a_score_and_words(tmp_path: Path, grader: Grader) -> None:
    """It sees the answer and the case, and may return a truth value, or assert."""
    program = (
        "def total(answer, case):\n"
        "    print('noise')\n"
        "    assert answer.json()['total'] == 3, 'the total is wrong'\n"
        "    return case['body']['messages'][0]['content'] == 'x'\n"
    )
    own = golden(tmp_path, "{ python = 'checks.py:total' }", program)
    assert (await grader.grade(*own, ModelAnswer('{"total": 3}'))).grade is Grade.PASS
    wrong = await grader.grade(*own, ModelAnswer('{"total": 4}'))
    assert (wrong.grade, wrong.words) == (Grade.WRONG, "the total is wrong")
    with pytest.raises(UncheckedError, match="JSONDecodeError"):
        await grader.grade(*own, ModelAnswer("no json"))


async def test_a_program_may_only_assert(tmp_path: Path, grader: Grader) -> None:
    """It returns nothing then, which is a pass; without an assertion, or without the function, there is no verdict."""
    only = golden(
        tmp_path, "{ python = 'checks.py:f' }", "def f(answer, case):\n    assert answer.text == 'x', 'no x'\n"
    )
    assert (await grader.grade(*only, ModelAnswer("x"))).grade is Grade.PASS
    assert (await grader.grade(*only, ModelAnswer("y"))).words == "no x"
    nothing = golden(tmp_path, "{ python = 'checks.py:f' }", "def f(answer, case):\n    answer.text == 'x'\n")
    with pytest.raises(UncheckedError, match="it returned nothing: return true, false or a score"):
        await grader.grade(*nothing, ModelAnswer("x"))
    gone = golden(tmp_path, "{ python = 'checks.py:f' }", "def g(answer, case):\n    return 'f'\n")
    with pytest.raises(UncheckedError, match="there is no function 'f'"):
        await grader.grade(*gone, ModelAnswer("x"))


async def test_what_a_program_writes_is_no_verdict(tmp_path: Path, grader: Grader) -> None:
    """Neither by print nor straight to the file."""
    program = "import os\ndef f(answer, case):\n    print('{')\n    os.write(1, b'{}')\n    return True\n"
    own = golden(tmp_path, "{ python = 'checks.py:f' }", program)
    assert (await grader.grade(*own, ModelAnswer("x"))).grade is Grade.PASS


async def test_a_program_is_shut_in(tmp_path: Path, grader: Grader, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no network, starts nothing, writes nothing and sees no variable of ours."""
    monkeypatch.setenv("SOME_API_KEY", "secret")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        program = (
            "import os, socket, subprocess\n"
            "def tried(work):\n"
            "    try:\n        work()\n    except OSError:\n        return 'refused'\n    return 'done'\n"
            "def shut(answer, case):\n"
            f"    network = tried(lambda: socket.create_connection(('127.0.0.1', {listening.getsockname()[1]})))\n"
            "    process = tried(lambda: subprocess.run(['true']))\n"
            f"    disk = tried(lambda: open({str(tmp_path / 'out')!r}, 'w').write('x' * 9000))\n"
            "    return [network, process, disk] == ['refused'] * 3 and 'SOME_API_KEY' not in os.environ\n"
        )
        shut = golden(tmp_path, "{ python = 'checks.py:shut' }", program)
        assert (await grader.grade(*shut, ModelAnswer("x"))).grade is Grade.PASS


async def test_a_program_without_end_is_stopped(tmp_path: Path) -> None:
    """It is killed, and there is no verdict."""
    endless = golden(tmp_path, "{ python = 'checks.py:endless' }", "def endless(answer, case):\n    while True: pass\n")
    with pytest.raises(UncheckedError, match="TimeoutExpired"):
        await Grader(python_s=0.5).grade(*endless, ModelAnswer("x"))


async def test_a_judge_is_asked_for_its_own_kinds(tmp_path: Path) -> None:
    """Without a judge there is no verdict; the checks keep their order."""
    rubric = golden(tmp_path, "{ rubric = 'Is it polite?' }, { not = { rubric = 'Is it rude?' } }")
    with pytest.raises(UncheckedError, match="needs a judge"):
        await Grader().grade(*rubric, ModelAnswer("x"))

    async def judge(
        golden: GoldenSet, case: GoldenCase, check: GoldenCheck, answer: ModelAnswer, origin: AnswerOrigin
    ) -> Finding:
        return Finding(float("polite" in check.want), check.want)

    assert (await Grader(judge).grade(*rubric, ModelAnswer("x"))).grade is Grade.PASS
