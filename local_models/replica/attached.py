"""A server run by somebody else, reached by URL: discovered, watched, found again after a loss, never ended.

Its owner may load another model at any moment. The list of its models is read again every two seconds, and at once where
it answers 404: the request is then sent again under the name of today.

Knows the OpenAI dialect's /v1/models and nothing of processes. A 404 at /health or /metrics is no fault, and a slow
reply is not a loss: only a refused connection or a rejected key is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from local_models.host.procfs import Work
from local_models.replica.canary import CanaryQuestion, ask, chat, completion, embedding, rerank
from local_models.replica.hang import CanaryAnswer
from local_models.replica.instance import ReplicaFault, Served, WatchedHop
from local_models.replica.owned import models_in
from local_models.replica.prepared import Notice
from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.hop import HttpCall, Reply

_PROBE_S = 10.0
_FIRST_ANSWER_S = 60.0
_LOOK_S = 2.0
_REFUSALS = 2  # in a row: one may be a server that reloads


@dataclass(slots=True)
class LookingHop:
    """A `WatchedHop` that calls `look` where the server answers 404, which tells whether it has another model now."""

    hop: WatchedHop
    look: Callable[[], Awaitable[bool]]

    async def open(self, call: HttpCall, *, connect_s: float) -> Reply:
        reply = await self.hop.open(call, connect_s=connect_s)
        if reply.status == HTTPStatus.NOT_FOUND and await self.look():
            reply.close()
            raise HopError(Failure(Kind.DOWN, Disposition.RETRY_HERE, "the server has loaded another model"))
        return reply

    async def probe(self, path: str, timeout_s: float, *, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
        return await self.hop.probe(path, timeout_s, method=method, body=body)

    async def aclose(self) -> None:
        await self.hop.aclose()

    @property
    def in_flight(self) -> int:
        return self.hop.in_flight

    @property
    def last_byte_at(self) -> float | None:
        return self.hop.last_byte_at

    @property
    def quiet_since(self) -> float | None:
        return self.hop.quiet_since


class AttachedServer:
    """An `instance.Instance`. wanted: the model of the settings; where the server has it, it is the one asked."""

    def __init__(
        self, name: str, address: str, hop: WatchedHop, wanted: str, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self.name = name
        self.address = address
        self.hop: WatchedHop = LookingHop(hop, self._look)
        self.canary: CanaryQuestion | None = None
        self.pid: int | None = None
        self.estimate_s = 5.0
        self._wanted = wanted
        self._sleep = sleep
        self._served = Served(())
        self._looking = asyncio.Lock()
        self._changed: Callable[[Served], None] = lambda served: None

    def work(self) -> Work | None:
        return None

    async def bring_up(self, run: int, notice: Notice) -> Served:
        """One probe: its models, and one token of the one we will use."""
        try:
            status, body = await self.hop.probe("/v1/models", _PROBE_S)
        except HopError as error:
            raise ReplicaFault(f"{self.address} cannot be reached: {error.failure.message}") from error
        self._check_key(status)
        self._served = Served(())
        return await self._taken(models_in(body) if status == HTTPStatus.OK else {}, status)

    def _check_key(self, status: int) -> None:
        if status in (401, 403):
            raise ReplicaFault(f"{self.address} refuses our key ({status}): set [engine] key")

    async def _taken(self, listed: Mapping[str, int | None], status: int) -> Served:
        """Takes the listed models over. Raises ReplicaFault if there is none, or the one to use does not answer.

        The one to use is that of the settings, else the one in use until now, else the first.
        """
        if not listed:
            raise ReplicaFault(f"{self.address}/models names no model (status {status}): the URL should end in /v1")
        names = (self._wanted, *self._served.models[:1], *listed)
        model = next(name for name in names if name in listed)
        if self._served.models[:1] != (model,):
            self.canary = await self._first_good(model)
        pools = self.canary.pools if self.canary else ""
        self._served = Served((model, *(other for other in listed if other != model)), listed[model], pools=pools)
        return self._served

    async def _look(self) -> bool:
        """Reads the list of models again. True if another model is to be used than before."""
        before = self._served
        async with self._looking:
            if self._served is before:
                with contextlib.suppress(HopError, ReplicaFault):
                    status, body = await self.hop.probe("/v1/models", _PROBE_S)
                    self._changed(await self._taken(models_in(body), status))
        return self._served.models[:1] != before.models[:1]

    async def _first_good(self, model: str) -> CanaryQuestion:
        """The first way of asking that it answers; a full queue is an answer too."""
        words = ""
        for question in (completion(model), chat(model), embedding(model), rerank(model)):
            outcome = await ask(self.hop, question, _FIRST_ANSWER_S)
            if outcome.good or outcome.answer is CanaryAnswer.BUSY:
                return question
            words = words or outcome.words
            if outcome.answer is CanaryAnswer.SILENT:
                break
        raise ReplicaFault(f"{self.address} does not answer for {model}: {words}")

    async def ended(self, changed: Callable[[Served], None]) -> ReplicaFault:
        self._changed = changed
        refused = 0
        while True:
            await self._sleep(_LOOK_S)
            try:
                status, body = await self.hop.probe("/v1/models", _PROBE_S)
                self._check_key(status)
                listed = models_in(body) if status == HTTPStatus.OK else {}
                if listed:  # none is a server that is about to load another
                    async with self._looking:
                        changed(await self._taken(listed, status))
            except HopError as error:
                refused = refused + 1 if error.failure.kind is Kind.DOWN else 0
                if refused >= _REFUSALS:
                    return ReplicaFault(f"{self.address} is lost: {error.failure.message}")
            except ReplicaFault as fault:
                return fault
            else:
                refused = 0

    async def take_down(self, grace_s: float, hurry: asyncio.Event) -> None:
        """Drops the pooled connections; the server and answers in progress are left alone."""
        await self.hop.aclose()

    def kill(self) -> None:
        """The server belongs to somebody else."""
