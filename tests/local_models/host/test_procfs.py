"""Processes and memory as /proc shows them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local_models.host import procfs

BURN = "import time\nuntil = time.process_time() + 0.5\nwhile time.process_time() < until: pass"


@contextmanager
def session(code: str) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own that writes a line when it is done with its work."""
    with subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_the_work_of_children_that_have_ended_counts() -> None:
    """A worker that waits for a compiler uses no processor time itself."""
    worker = (
        "import os, subprocess, sys, time\n"
        "if os.fork() == 0:\n"
        f"    subprocess.run([sys.executable, '-c', {BURN!r}])\n"
        "    print('done', flush=True)\n"
        "time.sleep(600)"
    )
    with session(worker) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        work = procfs.work_of(process.pid)
    assert work is not None
    assert work.cpu_s >= 0.5
    assert work.compiling_s >= 0.5


def test_a_compiler_at_work_is_known_by_its_name(tmp_path: Path) -> None:
    """Before it ends, too; another busy process is no compiler."""
    compiler = tmp_path / "cc1plus"
    shutil.copy2("/bin/sh", compiler)
    loop = "while :; do :; done"
    worker = (
        f"import subprocess, sys\nsubprocess.Popen([{str(compiler)!r}, '-c', {loop!r}])\nprint('', flush=True)\ninput()"
    )
    with session(worker.replace("input()", "import time; time.sleep(600)")) as process:
        deadline = time.monotonic() + 20
        work = procfs.work_of(process.pid)
        while time.monotonic() < deadline and (work is None or work.compiling_s < 0.2):
            time.sleep(0.01)
            work = procfs.work_of(process.pid)
    assert work is not None
    assert work.compiling_s >= 0.2


def test_a_session_that_is_gone_has_no_work() -> None:
    """None, not zero."""
    assert procfs.work_of(2**22 + 1) is None


@pytest.mark.parametrize(("available", "used"), [(3_000, 5_000), (8_000, 0)])
def test_memory_in_use_leaves_caches_out(tmp_path: Path, available: int, used: int) -> None:
    """What the kernel gives back on demand is free."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal:  8000 kB\nMemFree:  10 kB\nMemAvailable:  {available} kB\nHugePages_Total:  0\n")
    assert procfs.memory(meminfo) == (8_000 * 1024, used * 1024)
