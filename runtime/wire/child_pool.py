"""Child processes that answer one question after another, and are killed when an answer takes too long.

A question never blocks the event loop: threads of its own wait for the children. Children start with the first question and
end when there is none. A frame is a length and JSON, in both directions.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import msgspec

from runtime.wire.json_schema import HEAD

_START_S = 20.0  # a child may take to start, on a box with much to do
_Answer = TypeVar("_Answer")


class UncheckedError(Exception):
    """A check took too long, waited too long, or its child process failed: nothing is known of the answer."""


class ChildPool(Generic[_Answer]):
    """A pool of children. Safe to use from any event loop.

    program: starts a child; it gets limit_s and idle_s as arguments. read: an answer's JSON; raises msgspec.DecodeError.
    limit_s: seconds one check may run; patience_s: seconds it may wait for its turn. most_waiting: checks that may wait or
    run; one more is refused at once. text_limit: bytes of a question. idle_s: seconds after which an idle child ends.
    """

    def __init__(
        self,
        program: tuple[str, ...],
        read: Callable[[bytes], _Answer],
        *,
        limit_s: float = 1.0,
        patience_s: float = 5.0,
        most_waiting: int = 64,
        text_limit: int = 16 << 20,
        children: int = 2,
        idle_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._limit_s, self._patience_s, self._most_waiting = limit_s, patience_s, most_waiting
        self._text_limit, self._clock = text_limit, clock
        self._program = (*program, str(limit_s), str(idle_s))
        self._children = children
        self._threads: ThreadPoolExecutor | None = None  # made by the first check, and by the first after `close`
        self._waiting = 0
        self._ended = 0  # times `close` was called: a child of an earlier time is not used again
        self._idle: list[subprocess.Popen[bytes]] = []

    async def asked(self, question: bytes) -> _Answer:
        """The answer to a question. Raises UncheckedError."""
        if self._waiting >= self._most_waiting:
            raise UncheckedError(f"{self._most_waiting} checks are waiting already")
        if len(question) > self._text_limit:
            raise UncheckedError(f"answer and check are longer than {self._text_limit} bytes")
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._children, thread_name_prefix="check")
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

    def _ask(self, question: bytes, latest: float, ended: int) -> _Answer:
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
            found = self._read(answer)
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
