"""Marked processes: whose they are, and which of them are ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local_models.host import procfs
from local_models.host.orphans import (
    VARIABLE,
    Marker,
    Owner,
    marked,
    marker_of,
    of_dead_owners,
    of_ended_run,
    owner_is_dead,
    sweep,
    this_process,
)

SLEEP = "import os, sys, time; print('up', flush=True); time.sleep(600)"
# A leader that forks a child out of its session, says its pid and waits.
PARENT = """
import os, time
pid = os.fork()
if pid == 0:
    os.setsid()
    time.sleep(600)
print(pid, flush=True)
time.sleep(600)
"""

Start = Callable[[Marker, str], subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts marked processes, and ends what a failed test left of them."""
    begun: list[subprocess.Popen[str]] = []
    markers: list[Marker] = []

    def one(marker: Marker, code: str = SLEEP) -> subprocess.Popen[str]:
        env = {**os.environ, **marker.environ()}
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        begun.append(process)
        markers.append(marker)
        return process

    yield one
    for found in marked():
        if found.marker in markers:
            os.kill(found.pid, signal.SIGKILL)
    for process in begun:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def me(tmp_path: Path) -> Owner:
    return this_process(tmp_path)


def dead(owner: Owner) -> Owner:
    """An owner whose pid now belongs to a process started later."""
    return replace(owner, start=owner.start - 1)


def test_a_marker_is_read_back_from_a_process(start: Start, me: Owner) -> None:
    """State folder, owner and replica come back as they were given, whatever the folder's name."""
    marker = Marker(replace(me, state_dir='/tmp/a "b" = ü'), "replica-0", 3)
    process = start(marker, SLEEP)
    said(process)
    assert marker_of(process.pid) == marker


def test_garbage_in_the_variable_is_nobodys_engine(me: Owner) -> None:
    """A process with a foreign or damaged marker is left alone."""
    for value in ("", "{}", "[1]", '{"owner": 3}', "\xff"):
        with subprocess.Popen(["sleep", "60"], env={VARIABLE: value}) as process:
            try:
                assert marker_of(process.pid) is None
            finally:
                process.kill()


def test_who_is_dead(me: Owner) -> None:
    """Alive is only the pid with its start time; another pid namespace cannot be judged."""
    assert not owner_is_dead(me, me.namespace)
    assert owner_is_dead(dead(me), me.namespace)
    assert not owner_is_dead(dead(me), "pid:[1]")


def test_a_zombie_owner_is_dead() -> None:
    """A killed owner that its parent has not reaped owns nothing."""
    process = subprocess.Popen(["sleep", "60"])
    began = procfs.start_of(process.pid)
    process.kill()
    deadline = time.monotonic() + 5
    while procfs.start_of(process.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.005)
    assert began is not None
    assert owner_is_dead(Owner("/", process.pid, began, "ns"), "ns")
    process.wait()


async def test_what_a_dead_owner_left_is_ended_and_a_living_owners_engine_is_spared(start: Start, me: Owner) -> None:
    """Two Hearths on one box do not hurt each other, also with the same names and folders."""
    orphan = start(Marker(dead(me), "replica-0", 1), PARENT)
    stray = int(said(orphan))
    living = start(Marker(me, "replica-0", 1), SLEEP)
    said(living)
    swept = await sweep(lambda marker: marker.owner.state_dir == me.state_dir and of_dead_owners(me)(marker), 10)
    assert {process.pid for process in swept.killed} == {orphan.pid, stray}
    assert (swept.left, procfs.start_of(stray)) == ((), None)
    assert living.poll() is None


async def test_an_ended_run_takes_its_strays_with_it_and_not_the_next_run(start: Start, me: Owner) -> None:
    """Of one replica everything up to the ended run goes; a later run and another replica stay."""
    old, new = start(Marker(me, "replica-0", 1), SLEEP), start(Marker(me, "replica-0", 3), SLEEP)
    other = start(Marker(me, "replica-1", 1), SLEEP)
    for process in (old, new, other):
        said(process)
    await sweep(of_ended_run(Marker(me, "replica-0", 2)), 10)
    assert [process.poll() for process in (new, other)] == [None, None]
    assert old.wait(5) == -signal.SIGKILL


async def test_a_sweep_ends_though_proc_hangs(start: Start, me: Owner) -> None:
    """A look that blocks, as /proc does on a process the kernel holds locked, costs its deadline and a thread."""
    said(start(Marker(me, "replica-0", 1), SLEEP))
    held = threading.Event()
    try:
        assert (await sweep(lambda marker: held.wait() and False, 0.1)).killed == ()
    finally:
        held.set()


def test_processor_time_is_the_workers_and_not_the_fronts(me: Owner) -> None:
    """A busy leader does not hide workers that stand still."""
    code = "import os, time\npid = os.fork()\nwhile True:\n    time.sleep(600) if pid == 0 else sum(range(1000))"
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True) as process:
        try:
            deadline = time.monotonic() + 20  # a busy machine takes its time to start an interpreter
            used = leader = None
            while time.monotonic() < deadline and (used is None or used >= 0.1 or leader is None or leader.cpu_s < 0.2):
                time.sleep(0.01)
                work, leader = procfs.work_of(process.pid), procfs.stat(process.pid)
                used = work.cpu_s if work is not None else None
            assert used is not None
            assert leader is not None
            assert used < 0.1 < leader.cpu_s
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_the_marker_is_one_variable_of_json(me: Owner) -> None:
    """Anybody can read whose engine a process is."""
    environ = Marker(me, "replica-0", 1).environ()
    assert json.loads(environ[VARIABLE])["owner"]["pid"] == os.getpid()
    assert environ["SPT_NOENV"] == "1"
