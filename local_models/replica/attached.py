"""A server run by somebody else, reached by URL: discovered, watched, found again after a loss, never ended.

Its owner may load another model at any moment. The list of its models is read again every two seconds, and at once where
it answers 404: the request is then sent again under the name of today.

Knows the OpenAI dialect's /v1/models and nothing of processes. A 404 at /health or /metrics is no fault, and a slow
reply is not a loss: only a refused connection or a rejected key is.

A pool is one address with several engines behind it, which its owner balances (Ray Serve LLM, vllm-router, sglang-router,
smg, llm-d). Three things differ. Its own /health and list of models answer while it has no engine left, so that a failed
request makes canaries decide; a canary reaches one of its engines, so several are asked at once and one answer is life. Its
/metrics are the balancer's or one engine's at random, and are never read: only those that the settings name are. Silence of
the balancer itself is a loss, for it has no prompt to read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from local_models.host.procfs import Work
from local_models.replica.adapters import adapters_in
from local_models.replica.canary import CanaryQuestion, Probing, ask, chat, completion, embedding, rerank
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
_POOL_PROBE_S = 5.0
_NAMELESS = frozenset({"unknown"})  # sglang-router's id for the model of engines that do not tell it theirs


@dataclass(frozen=True, slots=True)
class Pool:
    """The engines behind one address. canaries: asked at once. metrics: hop and path of each /metrics with their gauges."""

    canaries: int
    metrics: tuple[tuple[Probing, str], ...] = ()

    async def scraped(self, timeout_s: float) -> tuple[int, bytes]:
        """All of them, put together; 404 if there is none, or one cannot be read: a part of the gauges would mislead."""
        texts = []
        for hop, path in self.metrics:
            status, body = await hop.probe(path, timeout_s)
            if status != HTTPStatus.OK:
                return HTTPStatus.NOT_FOUND, b""
            texts.append(body)
        return (HTTPStatus.OK, b"\n".join(texts)) if texts else (HTTPStatus.NOT_FOUND, b"")


@dataclass(slots=True)
class LookingHop:
    """A `WatchedHop` that calls `look` where the server answers 404, which tells whether it has another model now.

    failed: a request got a server's error since this was last set to False.
    """

    hop: WatchedHop
    look: Callable[[], Awaitable[bool]]
    pool: Pool | None = None
    failed: bool = False

    async def open(self, call: HttpCall, *, connect_s: float) -> Reply:
        reply = await self.hop.open(call, connect_s=connect_s)
        if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.failed = True
        if reply.status == HTTPStatus.NOT_FOUND and await self.look():
            reply.close()
            raise HopError(Failure(Kind.DOWN, Disposition.RETRY_HERE, "the server has loaded another model"))
        return reply

    async def probe(self, path: str, timeout_s: float, *, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
        if self.pool is not None and path == "/metrics":
            return await self.pool.scraped(timeout_s)
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
    """An `instance.Instance`. wanted: the model of the settings; where the server has it, it is the one asked.

    pool: the engines behind it; None: it is one engine.
    """

    def __init__(
        self,
        name: str,
        address: str,
        hop: WatchedHop,
        wanted: str,
        sleep: Callable[[float], Awaitable[None]],
        pool: Pool | None = None,
    ) -> None:
        self.name = name
        self.address = address
        self.hop = LookingHop(hop, self._look, pool)
        self.canary: CanaryQuestion | None = None
        self.pid: int | None = None
        self.asleep = False
        self.estimate_s = 5.0
        self._wanted = wanted
        self._pool = pool
        self._canaries = pool.canaries if pool is not None else 1
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
        return await self._taken(models_in(body) if status == HTTPStatus.OK else {}, status, body)

    def _check_key(self, status: int) -> None:
        if status in (401, 403):
            raise ReplicaFault(f"{self.address} refuses our key ({status}): set [engine] key")

    async def _taken(self, listed: Mapping[str, int | None], status: int, body: bytes) -> Served:
        """Takes the models listed in a body over. Raises ReplicaFault if there is none, or the one to use does not answer.

        The one to use is that of the settings, else the one in use until now, else the first.
        """
        if self._pool is not None and listed:
            listed = {name: length for name, length in listed.items() if name not in _NAMELESS} or {self._wanted: None}
        if not listed and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ReplicaFault(f"{self.address} has no engine to ask (status {status} for its list of models)")
        if not listed:
            raise ReplicaFault(f"{self.address}/models names no model (status {status}): the URL should end in /v1")
        names = (self._wanted, *self._served.models[:1], *listed)
        model = next(name for name in names if name in listed)
        if self._served.models[:1] != (model,):
            self.canary = await self._first_good(model)
        pools = self.canary.pools if self.canary else ""
        names = (model, *(other for other in listed if other != model))
        self._served = Served(names, listed[model], pools=pools, adapters=tuple(adapters_in(body)))
        return self._served

    async def _look(self) -> bool:
        """Reads the list of models again. True if another model is to be used than before."""
        before = self._served
        async with self._looking:
            if self._served is before:
                with contextlib.suppress(HopError, ReplicaFault):
                    status, body = await self.hop.probe("/v1/models", _PROBE_S)
                    self._changed(await self._taken(models_in(body), status, body))
        return self._served.models[:1] != before.models[:1]

    async def _first_good(self, model: str) -> CanaryQuestion:
        """The first way of asking that it answers; a full queue is an answer too."""
        words = ""
        for question in (completion(model), chat(model), embedding(model), rerank(model)):
            outcome = await ask(self.hop, question, _FIRST_ANSWER_S, self._canaries)
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
                loss = await (self._looked() if self._pool is None else self._pool_looked())
            except ReplicaFault as fault:
                return fault
            refused = refused + 1 if loss else 0
            if refused >= _REFUSALS:
                return ReplicaFault(f"{self.address} is lost: {loss}")

    async def _looked(self) -> str:
        """Reads the list of models and takes it over. What a refused connection says; "" if it was not refused."""
        try:
            status, body = await self.hop.probe("/v1/models", _PROBE_S)
            self._check_key(status)
            listed = models_in(body) if status == HTTPStatus.OK else {}
            if listed:  # none is a server that is about to load another
                async with self._looking:
                    self._changed(await self._taken(listed, status, body))
        except HopError as error:
            return error.failure.message if error.failure.kind is Kind.DOWN else ""
        return ""

    async def _pool_looked(self) -> str:
        """The same of a pool: a silent or failing balancer counts too, and after a failed request so do its engines."""
        try:
            status, body = await self.hop.probe("/v1/models", _POOL_PROBE_S)
        except HopError as error:
            return error.failure.message
        self._check_key(status)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return f"its list of models is answered with {status}"
        if listed := models_in(body):
            async with self._looking:
                self._changed(await self._taken(listed, status, body))
        if self.hop.failed and self.canary is not None:
            outcome = await ask(self.hop, self.canary, _POOL_PROBE_S, self._canaries)
            if outcome.answer is CanaryAnswer.BROKEN:
                return outcome.words
            if outcome.answer is not CanaryAnswer.SILENT:  # silence proves nothing, and is looked into again
                self.hop.failed = False
        return ""

    async def take_down(self, grace_s: float, hurry: asyncio.Event) -> None:
        """Drops the pooled connections; the server and answers in progress are left alone."""
        await self.hop.aclose()

    def kill(self) -> None:
        """The server belongs to somebody else."""
