"""[autoscale], wired: reads the engine's load, asks Ray how many replicas there are, and tells it or says what it would tell.

One Hearth of a fleet acts, the one with the lease of the store; without a store the settings name the cluster in one
Hearth alone. Imported only where `[autoscale] ray` is set.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from urllib.parse import quote

import msgspec

from local_models.replica.canary import Probing
from local_models.wire.hop import EngineHop
from runtime.contract.failures import HopError
from runtime.fleet.autoscale import Autoscaler, ReplicaCount, ScaleVerdict
from runtime.life.desk import Desk
from runtime.load.strain import EngineStrain
from runtime.server.status import AutoscaleStatus
from runtime.settings import Settings

EACH_S = 1.0
COUNTED_S = 5.0
LEASE = "autoscale"
LEASE_S = 15.0
_ASKED_S = 10.0
_LONGEST_PAUSE_S = 300.0
_log = logging.getLogger("hearth.autoscale")


class RayError(Exception):
    """The reason in words why Ray did not do what it was asked."""


class _Replica(msgspec.Struct):
    state: str


class _Deployment(msgspec.Struct):
    target_num_replicas: int
    replicas: tuple[_Replica, ...] = ()


class _Application(msgspec.Struct):
    status: str = ""
    external_scaler_enabled: bool = False
    deployments: dict[str, _Deployment] = {}


class _Serve(msgspec.Struct):
    applications: dict[str, _Application] = {}


class _Refusal(msgspec.Struct):
    error: str = ""


class RayServe:
    """Serve's REST API at Ray's dashboard, as of Ray 2.60, for the deployment of one model. hop: to the dashboard."""

    def __init__(self, hop: Probing, address: str, model: Callable[[], str]) -> None:
        self._hop, self._address, self._model = hop, address, model

    async def count(self) -> ReplicaCount:
        """The replicas of the model's deployment. Raises RayError."""
        return (await self._found())[1]

    async def scale(self, replicas: int) -> None:
        """Sets their number. Serve starts and ends them afterwards. Raises RayError."""
        (application, deployment), _ = await self._found()
        path = f"/api/v1/applications/{quote(application, safe='')}/deployments/{quote(deployment, safe='')}/scale"
        await self._asked(path, "POST", msgspec.json.encode({"target_num_replicas": replicas}))

    async def _found(self) -> tuple[tuple[str, str], ReplicaCount]:
        body = await self._asked("/api/serve/applications/")
        try:
            serve = msgspec.json.decode(body, type=_Serve)
        except msgspec.DecodeError as error:
            raise RayError(f"{self._address} answers with what is no list of Serve's applications: {error}") from error
        # Serve writes a model's name so, behind "LLMServer:".
        name = self._model().replace("/", "--").replace(".", "_")
        every = [(app, dep) for app, each in serve.applications.items() for dep in each.deployments]
        named = [pair for pair in every if pair[1].rpartition(":")[2] == name]
        if not named:
            there = ", ".join(dep for _, dep in every) or "none"
            raise RayError(f"Ray at {self._address} serves no deployment of {self._model()!r}; there are: {there}")
        # Another application may serve the same model, scaled by somebody else.
        ours = [pair for pair in named if serve.applications[pair[0]].external_scaler_enabled]
        if not ours:
            raise RayError(f"the application {named[0][0]!r} is deployed without external_scaler_enabled: true")
        if len(ours) > 1:
            raise RayError(f"{len(ours)} applications of Ray serve {self._model()!r}: which one to scale is not known")
        found = serve.applications[ours[0][0]].deployments[ours[0][1]]
        running = len([1 for each in found.replicas if each.state == "RUNNING"])
        return ours[0], ReplicaCount(found.target_num_replicas, running)

    async def _asked(self, path: str, method: str = "GET", body: bytes = b"") -> bytes:
        try:
            status, answer = await self._hop.probe(path, _ASKED_S, method=method, body=body)
        except HopError as error:
            raise RayError(f"Ray's dashboard cannot be asked: {error.failure.message}") from error
        if status == 200:
            return answer
        raise RayError(self._refused(status, answer))

    def _refused(self, status: int, answer: bytes) -> str:
        if status in (401, 403):
            return f"Ray at {self._address} refuses the token ({status}): is [autoscale] token the cluster's?"
        try:
            words = msgspec.json.decode(answer, type=_Refusal).error
        except msgspec.DecodeError:
            words = answer[:200].decode(errors="replace").strip()
        if status == 404 and not words.startswith("Application"):
            return f"{self._address} has no Serve API (404): is it the address of Ray's dashboard?"
        return f"Ray at {self._address} answered {status}: {words}"


class AutoscaleRoom:
    """strain: the engine's load now. leads: True if this Hearth may act; asked each few seconds. clock: monotonic seconds.

    settings: `apply` takes others over.
    """

    def __init__(
        self,
        settings: Settings,
        ray: RayServe,
        strain: Callable[[], EngineStrain | None],
        clock: Callable[[], float],
        *,
        leads: Callable[[], Awaitable[bool]] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._scaler, self._ray, self._strain = Autoscaler(settings.autoscale), ray, strain
        self.apply(settings)
        self._clock, self._sleep, self._leads = clock, sleep, leads
        self._leading = leads is None
        self._count: ReplicaCount | None = None
        self._verdict: ScaleVerdict | None = None
        self._trouble = ""
        self._pause_s = 0.0
        self._due = 0.0  # when Ray is asked next

    @property
    def trouble(self) -> str | None:
        """Why nothing is scaled although it is wanted; None if it is."""
        return f"autoscale: {self._trouble}" if self._trouble else None

    def apply(self, settings: Settings) -> None:
        """Puts other settings in force; the cluster and its token stay."""
        self._scaler.wanted = settings.autoscale
        self._scaler.leaves_ms = settings.escalation.ttft_ms if settings.targets else None

    def report(self) -> AutoscaleStatus:
        wanted, count, verdict = self._scaler.wanted, self._count, self._verdict
        return AutoscaleStatus(
            mode=wanted.mode,
            leader=self._leading,
            running=count.running if count else None,
            target=count.target if count else None,
            wanted=verdict.replicas if verdict else None,
            words=verdict.words if verdict else "",
            trouble=self._trouble,
        )

    def gauges(self) -> Mapping[str, float]:
        """Numbers of replicas by kind; those that are not known are left out."""
        shown = self.report()
        kinds = {"running": shown.running, "target": shown.target, "wanted": shown.wanted}
        return {kind: float(number) for kind, number in kinds.items() if number is not None}

    async def run(self) -> None:
        """Looks each second, until cancelled."""
        while True:
            await self.look()
            await self._sleep(EACH_S)

    async def look(self) -> None:
        """One look: takes a reading in and, where this Hearth leads and may, tells Ray."""
        wanted = self._scaler.wanted
        if wanted.mode == "off":
            self._verdict, self._trouble = None, ""
            return
        now = self._clock()
        try:
            if now >= self._due:
                self._due = now + COUNTED_S
                self._leading = self._leads is None or await self._leads()
                self._count, self._trouble = await self._ray.count(), ""
            if self._count is None or self._trouble:
                return
            before, self._verdict = self._verdict, self._scaler.decide(self._strain(), self._count, self._clock())
            to, target = self._verdict.replicas, self._count.target
            if to == target:
                self._pause_s = 0.0
                return
            if wanted.mode == "advise" or not self._leading:
                self._pause_s = 0.0
                if self._leading and (before is None or before.replicas != to):
                    _log.warning("autoscale would go from %d to %d replicas: %s", target, to, self._verdict.words)
                return
            await self._ray.scale(to)
        except RayError as error:
            if str(error) != self._trouble:
                _log.warning("autoscale: %s", error)
            self._trouble, self._verdict = str(error), None
            self._pause_s = min(_LONGEST_PAUSE_S, 2 * self._pause_s or COUNTED_S)
            self._due = self._clock() + self._pause_s
            return
        _log.warning("autoscale went from %d to %d replicas: %s", target, to, self._verdict.words)
        self._scaler.acted(to, self._clock())
        self._count = ReplicaCount(to, min(self._count.running, to))
        self._pause_s = 0.0


def autoscale_room(
    desk: Desk, settings: Settings, lease: Callable[[str, float], Awaitable[bool]] | None = None
) -> AutoscaleRoom:
    """For the desk's engine. lease: of the fleet's store."""
    wanted = settings.autoscale
    key = wanted.token.value if wanted.token is not None else None
    hop = EngineHop(base_url=f"{wanted.ray.rstrip('/')}/v1", key=key, clock=desk.clock)
    ray = RayServe(hop, hop.address, lambda: desk.fleet.local.target.model)
    leads = partial(lease, LEASE, LEASE_S) if lease is not None else None
    return AutoscaleRoom(settings, ray, desk.fleet.strain, desk.clock, leads=leads)
