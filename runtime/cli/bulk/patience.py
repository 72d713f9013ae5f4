"""Asking until there is an answer: waits as the runtime asks, goes on through restarts, and gives up when
nothing moves for long.

HopelessError    nothing can be answered until somebody acts; its text says what to do
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from local_models.classification.answer import AnswerError
from runtime.cli.bulk.verdicts import Bad, Good, LabelReply, StopRun, Wait, backoff, verdict

TRIES = 4  # of one row, while other rows are answered: then it is the row

Ask = Callable[[bytes], Awaitable[LabelReply]]


class Modelled(Protocol):
    """Something a model said. model: its id, as the answer names it."""

    @property
    def model(self) -> str: ...


Found = TypeVar("Found", bound=Modelled)


class HopelessError(Exception):
    """The run must stop; what is written stays, and the same command resumes later."""


class NoRuntimeError(Exception):
    """No runtime answers at the address; its text says why."""


class UnanswerableError(Exception):
    """This row has no answer. code: one word for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Patience:
    """Shared by all rows of a run.

    bound_s: seconds without any answer after which the run stops. clock: monotonic seconds. sleep: waits. model: who
    answered first; another one later is a stop, for its answers would not belong to the same output.
    """

    ask: Ask
    bound_s: float
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    model: str = ""
    requests: int = 0
    waits: int = 0
    trouble: str = ""  # why rows wait now; empty after an answer
    last_answer: float = field(default=0.0)

    def __post_init__(self) -> None:
        self.last_answer = self.clock()

    async def reached(self, body: bytes) -> None:
        """Sends one question, whatever its answer. Raises NoRuntimeError without one: a run does not wait for a start."""
        reply = await self.ask(body)
        if reply.status is None:
            raise NoRuntimeError(reply.body.decode("utf-8", "replace"))

    async def answer(self, body: bytes, decode: Callable[[bytes], Found]) -> Found:
        """The answer to one question. decode: reads it, or raises AnswerError. Raises UnanswerableError and HopelessError."""
        began, attempt = self.clock(), 0
        while True:
            attempt += 1
            self.requests += 1
            reply = await self.ask(body)
            match verdict(reply, attempt):
                case Good():
                    try:
                        found = decode(reply.body)
                    except AnswerError as error:
                        wait = Wait(backoff(attempt), str(error), maybe_row=True)
                    else:
                        model = reply.target or found.model
                        self.model = self.model or model
                        if model != self.model:
                            words = f"the runtime now answers with {model}, the rows so far are by {self.model}"
                            advice = "start it with that model again, or begin anew with --restart"
                            raise HopelessError(f"{words}: {advice}")
                        self.last_answer, self.trouble = self.clock(), ""
                        return found
                case Bad(code, message):
                    raise UnanswerableError(code, message)
                case StopRun(message):
                    raise HopelessError(message)
                case Wait() as wait:
                    pass
            # Waiting cannot help a row that fails while others are answered, nor one beyond the bound of silence.
            if wait.maybe_row and attempt >= TRIES and self.last_answer > began:
                raise UnanswerableError("failed", f"{attempt} tries failed, while other rows were answered: {wait.why}")
            self.trouble = wait.why
            silent = self.clock() - self.last_answer
            if silent + wait.seconds > self.bound_s:
                raise HopelessError(f"no answer for {silent:.0f} s, and {wait.seconds:.0f} s more to wait: {wait.why}")
            self.waits += 1
            await self.sleep(wait.seconds)
