"""Checks answers against schemas in child processes that are killed when a check takes too long.

The one place where regular expressions from outside run (a single one is the schema `{"pattern": …}`). A check never blocks
the event loop: threads of its own wait for the children. Children start with the first check and end when there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from runtime.wire import json_schema
from runtime.wire.json_schema import HEAD, SchemaQuestion, SchemaViolation

_START_S = 20.0  # a child may take to start, on a box with much to do
_decoder = msgspec.json.Decoder(SchemaViolation | None)


class UncheckedError(Exception):
    """A check took too long, waited too long, or its child process failed: nothing is known of the answer."""


class SchemaProcess:
    """A pool of children. Safe to use from any event loop.

    limit_s: seconds one check may run; patience_s: seconds it may wait for its turn. most_waiting: checks that may wait or
    run; one more is refused at once. text_limit: bytes of schema and answer together. idle_s: seconds after which an idle
    child ends. program: what starts a child; it gets limit_s and idle_s as arguments.
    """

    def __init__(
        self,
        *,
        limit_s: float = 1.0,
        patience_s: float = 5.0,
        most_waiting: int = 64,
        text_limit: int = 16 << 20,
        children: int = 2,
        idle_s: float = 60.0,
        program: tuple[str, ...] = (sys.executable, "-P", json_schema.__file__),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit_s, self._patience_s, self._most_waiting = limit_s, patience_s, most_waiting
        self._text_limit, self._clock = text_limit, clock
        self._program = (*program, str(limit_s), str(idle_s))
        self._children = children
        self._threads: ThreadPoolExecutor | None = None  # made by the first check, and by the first after `close`
        self._waiting = 0
        self._ended = 0  # times `close` was called: a child of an earlier time is not used again
        self._idle: list[subprocess.Popen[bytes]] = []

    async def violation(self, text: str, schema: Any) -> SchemaViolation | None:
        """Why the answer is not valid under the schema; None if it is. Raises UncheckedError."""
        if self._waiting >= self._most_waiting:
            raise UncheckedError(f"{self._most_waiting} checks are waiting already")
        if len(text) > self._text_limit:
            raise UncheckedError(f"the answer is longer than {self._text_limit} characters")
        try:
            question = msgspec.json.encode(SchemaQuestion(text, schema))
        except (RecursionError, UnicodeError) as error:
            raise UncheckedError(str(error)) from error
        if len(question) > self._text_limit:
            raise UncheckedError(f"schema and answer are longer than {self._text_limit} bytes")
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._children, thread_name_prefix="schema-check")
        self._waiting += 1
        try:
            job = self._threads.submit(self._ask, question, self._clock() + self._patience_s, self._ended)
            return await asyncio.wrap_future(job)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Ends every child: an idle one now, another after its check. A later check starts new ones."""
        self._ended += 1
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
        while self._idle:
            _end(self._idle.pop())

    def _ask(self, question: bytes, latest: float, ended: int) -> SchemaViolation | None:
        """Runs in a thread. Only a child that answered is used again."""
        if self._clock() > latest:
            raise UncheckedError(f"the check waited {self._patience_s:g} s for its turn")
        used = self._idle.pop() if self._idle else None
        child = used or subprocess.Popen(
            self._program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        stdin, stdout = child.stdin, child.stdout
        assert stdin is not None
        assert stdout is not None
        # The child's own timer ends it, and with it the pipe; this one is for a child that never comes so far.
        watchdog = threading.Timer(self._limit_s + _START_S, child.kill)
        watchdog.start()
        answered = False
        try:
            stdin.write(HEAD.pack(len(question)) + question)
            stdin.flush()
            head = stdout.read(HEAD.size)
            answer = stdout.read(HEAD.unpack(head)[0]) if len(head) == HEAD.size else b""
            found: SchemaViolation | None = _decoder.decode(answer)
            answered = True
        except (OSError, msgspec.DecodeError) as error:
            if _end(child) == 0 and used is not None:  # it had been idle for too long, just now
                return self._ask(question, latest, ended)
            raise UncheckedError(f"the check did not end within {self._limit_s:g} s") from error
        finally:
            watchdog.cancel()
            if answered and ended == self._ended:
                self._idle.append(child)
            else:
                _end(child)
        return found


def _end(child: subprocess.Popen[bytes]) -> int:
    """Kills and reaps a child; its exit code, 0 if it had ended by itself. The pipe to it is closed unflushed."""
    child.kill()
    code = child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what was not written is lost with the child
                pipe.close()
    return code
