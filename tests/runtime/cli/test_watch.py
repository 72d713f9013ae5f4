"""`hearth status --watch`: a screen that fits, redraws what changed, and is left by a key."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from datetime import UTC

import msgspec
import pyte
import pytest

from runtime.cli.paint import PLAIN, Paint
from runtime.cli.watch import WatchSize, WatchState, bar, down, screen, sparkline, troubles
from runtime.server.status import DecisionBrief, LoadStatus, RunningStatus, ThresholdStatus
from tests.runtime.cli.fake_runtime import Asked, Reply, as_json, fake_runtime
from tests.runtime.cli.test_status_command import FULL

LIMITS = ThresholdStatus(
    ttft_ms=2000, queue=5, kv_cache=0.85, gpu=0.95, release=0.7, complexity=0.62, context_tokens=6000
)
RUNNING = tuple(
    RunningStatus(
        id=f"dec_{n}", model="auto", target="local/m", phase="generating", for_s=2, tokens=40, tokens_per_s=20
    )
    for n in range(7)
)
DECISIONS = tuple(
    DecisionBrief(
        id=f"dec_{n:016x}", at=1_700_000_000 + n, model="auto", target="local/m", reason="default", status=200
    )
    for n in range(10)
)
REPORT = msgspec.structs.replace(FULL, thresholds=LIMITS, running=RUNNING, decisions=DECISIONS)
SIZES = [(80, 24), (120, 40), (60, 20), (20, 3)]
CODES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("view", ["overview", "decisions", "log"])
@pytest.mark.parametrize("paint", [PLAIN, Paint(True)], ids=["plain", "colour"])
def test_the_screen_fits_whatever_is_in_it(size: tuple[int, int], view: str, paint: Paint) -> None:
    """Exactly as many lines as there are, none wider; wide texts end in an ellipsis, control characters are not passed on."""
    long = msgspec.structs.replace(
        REPORT, load=LoadStatus(waiting=9, over=("queue_depth",), words="x" * 300), version="1\x1b[2J\n"
    )
    state = WatchState(view=view, log=[f"line {n} " + "y" * 200 for n in range(100)])
    lines = screen(long, [100.0, None, 900.0] * 60, state, WatchSize(*size), paint, UTC)
    plain = [CODES.sub("", line) for line in lines]
    assert len(lines) == size[1] and max(map(len, plain)) <= size[0]
    assert not any("\x1b" in line or "\n" in line for line in plain)


def test_each_value_stands_beside_its_threshold() -> None:
    """With a bar, what runs, the last decisions and the keys; a lost runtime is said in place of the keys."""
    lines = screen(REPORT, [100.0, 2000.0], WatchState(), WatchSize(120, 40), PLAIN, UTC)
    text = "\n".join(lines)
    assert "auto stays on this box now:  NO  7 wait, 5 is the limit" in text
    assert "2500 of 2000 ms" in text and "7 of 5, 4 running" in text and "40% of 85%" in text and "50% of 95%" in text
    assert "and 2 more" in text and "20 tok/s" in text and "dec_0000000000000009" in text
    assert lines[-1].startswith("q quit")
    lost = screen(REPORT, (), WatchState(trouble="no runtime answers; looking again"), WatchSize(80, 24), PLAIN, UTC)
    assert lost[-1] == "no runtime answers; looking again" and "smollm2" in lost[0]
    assert "waiting for the runtime" in screen(None, (), WatchState(), WatchSize(80, 24), PLAIN)[0]


def test_rows_stand_in_columns_and_labels_give_way() -> None:
    """At 60 columns as at 120; ids only where there is room; an answer that is not streamed has no count of tokens."""
    runs = (RUNNING[0], msgspec.structs.replace(RUNNING[1], phase="running", tokens=None, tokens_per_s=None))
    made = [msgspec.structs.replace(DECISIONS[n], target=f"{'x' * 20 * n}/m", cost_usd=0.5) for n in range(3)]
    report = msgspec.structs.replace(REPORT, running=runs, decisions=tuple(made))
    for columns in (60, 80, 120):
        lines = screen(report, (), WatchState(), WatchSize(columns, 40), PLAIN, UTC)
        rows = [line for line in lines if " 200 " in line]
        assert len({row.index("$0.5000") for row in rows}) == 1 and ("dec_" in rows[0]) == (columns == 120)
        first, second = (line for line in lines if "local/m" in line and "20" not in line.split()[0])
        assert "40 tokens" in first and first.index("40 tokens") == second.index("not streamed")


def test_a_request_that_nobody_answered_is_not_said_to_be_by_default() -> None:
    """By its status: unanswered, refused, or left by its client."""
    cases = {502: "unanswered", 400: "refused", 499: "client left", 200: "default"}
    for code, word in cases.items():
        brief = msgspec.structs.replace(DECISIONS[0], status=code, target=None if code >= 400 else "local/m")
        assert brief.why == word
    assert msgspec.structs.replace(DECISIONS[0], status=402, target=None, reason="budget").why == "budget"


def test_troubles_have_a_line_each() -> None:
    """A refused reload, a spent budget, targets that are not asked, and an engine that is down with its cause."""
    text = "\n".join(words for words, _ in troubles(REPORT))
    assert "the last reload was refused, the old settings hold: line 3: no such key" in text
    assert "the budget of key key_1 is spent, day 2026-11-29" in text
    assert "big  breaker open  5 failures in 30 s" in text and "decisions are not saved" in text
    assert down(FULL.engine.replicas[1:]) == "the engine is backing off, ready in about 20.0 s: out of memory"
    assert down(()) == "there is no engine"


def test_bars_and_sparklines_show_their_threshold() -> None:
    """The threshold is at four fifths; a value over it fills the rest."""
    assert bar(0, 10, 10, 0.5) == "░░░░╎░░░│░" and bar(10, 10, 10) == "████████│░" and bar(99, 10, 10) == "████████│█"
    assert sparkline([0.0, None, 50.0, 100.0], 10) == "▁ ▅█" and sparkline([1.0], 5, most=1000.0) == "▁"
    assert sparkline([], 5) == "" and sparkline([1.0] * 20, 5) == "█████"


_LOGGED = re.compile("a line of the engine|and one more")


class Terminal:
    """A child of ours on a terminal of its own."""

    def __init__(self, arguments: list[str], size: tuple[int, int], **env: str) -> None:
        self.master, slave = pty.openpty()
        self.resize(size)
        child = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **env}
        command = [sys.executable, "-m", "runtime.cli", *arguments]
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=child, start_new_session=True
        )
        os.close(slave)
        self.seen = ""
        self.text = codecs.getincrementaldecoder("utf-8")("replace")

    def resize(self, size: tuple[int, int]) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def until(self, text: str) -> str:
        """What is written from now on, until a text came."""
        start = len(self.seen)
        self.read_until(lambda: text in self.seen[start:])
        return self.seen[start:]

    def showing(self, text: str, size: tuple[int, int]) -> list[str]:
        """The lines of a terminal of a size, by another's emulator, as soon as the last one holds a text."""

        def lines() -> list[str]:
            emulated = pyte.Screen(*size)
            pyte.Stream(emulated).feed(self.seen.rpartition("\x1b[2J")[2])
            return [line.rstrip() for line in emulated.display]

        self.read_until(lambda: any(text in line for line in lines()[-1:]))
        return lines()

    def read_until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.seen[-2000:]
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.seen += self.text.decode(os.read(self.master, 65536))
                except OSError:  # the child has gone
                    assert condition(), self.seen[-2000:]

    def press(self, key: str) -> None:
        os.write(self.master, key.encode())

    def left(self) -> int:
        """The exit code, once the screen was left by `q` or by itself."""
        self.until("\x1b[?1049l")
        return self.process.wait(20)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def event(name: str, value: object) -> bytes:
    return f"event: {name}\ndata: ".encode() + msgspec.json.encode(value) + b"\n\n"


def runtime(asked: Asked) -> Reply:
    """A runtime with a stream that stays open: one report, and a line of the log where it is asked for."""
    if asked.path.startswith("/hearth/events"):
        line = event("log", {"lines": ["and one more"], "left_out": 0}) if "log" in asked.path else b""
        return Reply(200, (event("status", REPORT), line), kind="text/event-stream", hold="log" not in asked.path)
    if asked.path.startswith("/hearth/series"):
        return as_json({"step_s": 5, "series": {"predicted_ttft_ms": [100.0, 200.0, None]}})
    if asked.path.startswith("/hearth/log"):
        return as_json({"data": ["a line of the engine"]})
    return Reply(200, (msgspec.json.encode(REPORT),))


def watching(url: str, size: tuple[int, int] = (80, 24), **env: str) -> Terminal:
    return Terminal(["status", "--watch", "--every", "0.1", "--url", url], size, **env)


def test_keys_and_sizes_in_a_real_terminal() -> None:
    """Three sizes, the log by `l` and back, a pause, and out by `q`; the terminal is as it was. It listens, and asks once."""
    with fake_runtime(runtime) as there, watching(there.url, (100, 30)) as terminal:
        terminal.until("running now")
        for size in SIZES[:3]:
            terminal.resize(size)
            terminal.until("\x1b[2J")
            lines = terminal.showing("q quit", size)
            assert lines[0].startswith("hearth") and "smollm2" in lines[0] and "running now" in "".join(lines)
            assert lines[1].startswith("auto stays on this box now:") and "│" in lines[2]
            assert len(lines) == size[1] and lines[-1].startswith("q quit")
        assert [asked.path.partition("?")[0] for asked in there.asked] == ["/hearth/events", "/hearth/series"]
        before = len(terminal.seen)
        terminal.press("l")
        terminal.read_until(
            lambda: {"a line of the engine", "and one more"} <= {*_LOGGED.findall(terminal.seen, before)}
        )
        terminal.press("l")
        terminal.until("running now")
        terminal.press("p")
        terminal.until("paused")
        terminal.press("q")
        assert terminal.left() == 0


def test_without_colours_and_on_a_dumb_terminal() -> None:
    """NO_COLOR keeps the screen and drops the colours; a dumb terminal gets reports one after another."""
    with fake_runtime(runtime) as there:
        with watching(there.url, NO_COLOR="1") as plain:
            shown = plain.until("q quit")
            plain.press("q")
            assert plain.left() == 0 and not re.search(r"\x1b\[\d+m", shown)
        with watching(there.url, TERM="dumb") as dumb:
            shown = dumb.until("last decisions")
            dumb.process.send_signal(signal.SIGINT)
            dumb.process.wait(20)
            assert "\x1b" not in shown
