"""A server run by somebody else, reached by URL: discovered, watched, found again after a loss, never ended.

Knows the OpenAI dialect's /v1/models and nothing of processes. A 404 at /health or /metrics is no fault, and a slow
reply is not a loss: only a refused connection or a rejected key is.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from local_models.host.procfs import Work
from local_models.replica.canary import CanaryQuestion, ask, chat, completion, embedding
from local_models.replica.hang import CanaryAnswer
from local_models.replica.instance import ReplicaFault, Served, WatchedHop
from local_models.replica.owned import models_in
from local_models.replica.prepared import Notice
from runtime.contract.failures import HopError, Kind

_PROBE_S = 10.0
_FIRST_ANSWER_S = 60.0
_LOOK_S = 2.0
_REFUSALS = 2  # in a row: one may be a server that reloads


def is_loopback(url: str) -> bool:
    """True if a URL can only lead to this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_secrets(url: str) -> str:
    """The URL without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


@dataclass(slots=True)
class AttachedServer:
    """An `instance.Instance`. wanted: the model of the settings; where the server has it, it is the one asked."""

    name: str
    address: str
    hop: WatchedHop
    wanted: str
    sleep: Callable[[float], Awaitable[None]]
    canary: CanaryQuestion | None = None
    pid: int | None = None
    estimate_s: float = 5.0

    def work(self) -> Work | None:
        return None

    async def bring_up(self, run: int, notice: Notice) -> Served:
        """One probe: its models, and one token of the one we will use."""
        served = await self._discover()
        model = self.wanted if self.wanted in served.models else served.models[0]
        self.canary = await self._first_good(model)
        return Served((model, *(other for other in served.models if other != model)), served.max_model_len)

    async def _discover(self) -> Served:
        try:
            status, body = await self.hop.probe("/v1/models", _PROBE_S)
        except HopError as error:
            raise ReplicaFault(f"{self.address} cannot be reached: {error.failure.message}") from error
        if status in (401, 403):
            raise ReplicaFault(f"{self.address} refuses our key ({status}): set [engine] key")
        served = models_in(body) if status == 200 else Served(())
        if not served.models:
            raise ReplicaFault(f"{self.address}/models names no model (status {status}): the URL should end in /v1")
        return served

    async def _first_good(self, model: str) -> CanaryQuestion:
        """The first way of asking that it answers; a full queue is an answer too."""
        words = ""
        for question in (completion(model), chat(model), embedding(model)):
            outcome = await ask(self.hop, question, _FIRST_ANSWER_S)
            if outcome.good or outcome.answer is CanaryAnswer.BUSY:
                return question
            words = words or outcome.words
            if outcome.answer is CanaryAnswer.SILENT:
                break
        raise ReplicaFault(f"{self.address} does not answer for {model}: {words}")

    async def ended(self) -> ReplicaFault:
        refused = 0
        while True:
            await self.sleep(_LOOK_S)
            try:
                status, _ = await self.hop.probe("/v1/models", _PROBE_S)
            except HopError as error:
                refused = refused + 1 if error.failure.kind is Kind.DOWN else 0
                if refused >= _REFUSALS:
                    return ReplicaFault(f"{self.address} is lost: {error.failure.message}")
                continue
            refused = 0
            if status in (401, 403):
                return ReplicaFault(f"{self.address} refuses our key ({status}): set [engine] key")

    async def take_down(self, grace_s: float, hurry: asyncio.Event) -> None:
        """Drops the pooled connections; the server and answers in progress are left alone."""
        await self.hop.aclose()

    def kill(self) -> None:
        """The server belongs to somebody else."""
