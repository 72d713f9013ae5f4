"""Runs a long child quietly: one moving line on a terminal, a line now and then elsewhere, everything in a log file.

Knows how pip speaks, so that the line says something and a failure says what to do. Standard library only.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

QUIET_LINE_S = 30.0  # between two lines where nobody watches

# What pip's output contains -> what to do. First match wins.
ADVICE = (
    ("No space left on device", "The disk is full. Free some space and run the same command again."),
    (
        "DO NOT MATCH THE HASHES",
        "A downloaded file is not the one the lock names; nothing of it was installed. A mirror or proxy may serve\n"
        "another build: try without it (PIP_INDEX_URL, pip config list). If the official index does so too, report it.",
    ),
    (
        "No matching distribution found",
        "The package index does not have it. Check what is configured: pip config list; PIP_INDEX_URL, PIP_NO_INDEX.",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "TLS is intercepted here: point PIP_CERT and SSL_CERT_FILE at your organisation's certificate.",
    ),
    ("ProxyError", "The proxy refused. Check HTTPS_PROXY."),
    (
        "NewConnectionError",
        "No way to the package index. Check the network, or set HTTPS_PROXY; then run the same command again.",
    ),
    (
        "name resolution",
        "No way to the package index. Check the network, or set HTTPS_PROXY; then run the same command again.",
    ),
    ("Read timed out", "The download stalled. Run the same command again: what is already downloaded is kept."),
    ("Permission denied", "A folder cannot be written. Do not use sudo: give the folder back to your user."),
    ("is not a supported wheel on this platform", "The lock is for Linux on x86-64 with glibc 2.28 or newer."),
)

_CHATTER = (
    "Collecting ",
    "Downloading ",
    "Using cached ",
    "Requirement already",
    "Looking in ",
    "Processing ",
    "WARNING: Location",
)
_TELLING = ("Collecting ", "Downloading ", "Installing collected", "Preparing ", "Building ")


class StepFailedError(Exception):
    """A child ended badly. The message holds its errors in full and what to do."""


def advice(log: str) -> str:
    """Advice for a failed installation, "" where nothing is known."""
    return next((what for sign, what in ADVICE if sign in log), "")


def errors(log: str) -> str:
    """The log without the lines that say all is well."""
    return "\n".join(line for line in log.splitlines() if line.strip() and not line.lstrip().startswith(_CHATTER))


def doing(log: str) -> str:
    """The last line of the log that says what is going on, short enough for one line of a terminal."""
    telling = [line.strip() for line in log.splitlines() if line.lstrip().startswith(_TELLING)]
    if not telling:
        return "starting"
    if telling[-1].startswith("Installing collected"):
        return "unpacking"
    words = telling[-1].split(" --hash")[0].split(" (from")[0]
    return words if len(words) <= 60 else words[:59] + "…"


class StepLine:
    """The one line that shows how far a step is."""

    def __init__(self, title: str, out: TextIO) -> None:
        self._title, self._out, self._live = title, out, out.isatty()
        self._started = self._shown = time.monotonic()
        if not self._live:
            self._write(f"{title} …\n")

    def update(self, what: str) -> None:
        now = time.monotonic()
        if self._live:
            self._write(f"\r\033[K{self._title} … {now - self._started:.0f} s  {what}")
        elif now - self._shown >= QUIET_LINE_S:
            self._shown = now
            self._write(f"  … {now - self._started:.0f} s  {what}\n")

    def end(self, verdict: str) -> None:
        start = "\r\033[K" if self._live else ""
        self._write(f"{start}{self._title}: {verdict} in {time.monotonic() - self._started:.0f} s\n")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


@contextlib.contextmanager
def step(title: str, out: TextIO | None = None) -> Iterator[StepLine]:
    """One step of several children, shown as one line. out: stdout by default."""
    line = StepLine(title, out or sys.stdout)
    try:
        yield line
    except StepFailedError:
        line.end("failed")
        raise
    line.end("done")


def follow(line: StepLine, command: Sequence[str], log: Path, prefix: str = "") -> None:
    """Runs one child of a step to its end, its output in `log`. Raises StepFailedError with all that went wrong.

    prefix: shown before the child's own progress.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as sink:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT)
    try:
        while not _ended(child, 0.5):
            line.update(prefix + doing(_read(log)))
    except BaseException:
        child.terminate()
        child.wait()
        raise
    if child.returncode != 0:
        text = _read(log)
        raise StepFailedError(f"{errors(text)}\n\n{advice(text)}\nThe whole output: {log}".replace("\n\n\n", "\n\n"))


def run(title: str, command: Sequence[str], log: Path, out: TextIO | None = None) -> None:
    """A step of one child. Raises StepFailedError."""
    with step(title, out) as line:
        follow(line, command, log)


def _ended(child: subprocess.Popen[bytes], within_s: float) -> bool:
    try:
        child.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _read(log: Path) -> str:
    return log.read_text(errors="replace")
