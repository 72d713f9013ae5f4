"""Runs the life of one replica: takes events from a queue, steps the table, carries out its actions. One task owns the
state.

The table (`lifecycle.py`) decides the next state, `hang.py` judges silence, the `Instance` starts and ends the engine; this
module waits, races and reports.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from local_models.host.threads import in_daemon_thread
from local_models.replica import canary, lifecycle, telemetry
from local_models.replica.hang import CanaryAnswer, Evidence, HangVerdict, judge
from local_models.replica.instance import Instance, ReplicaFault, Served
from local_models.replica.lifecycle import (
    EndRun,
    Event,
    LaunchRun,
    Life,
    RestartPolicy,
    RetryDue,
    RunFailed,
    RunGone,
    RunReady,
    WakeRun,
)
from local_models.replica.prepared import Notice, safe
from local_models.replica.start_times import ready_at
from runtime.contract.engine import ReplicaState, ReplicaView, Telemetry
from runtime.contract.failures import HopError

Sleep = Callable[[float], Awaitable[None]]

_CLOSE_S = 1.0
_STOOD_STILL_S = 5.0  # beyond what a look and a canary may take: this process was stopped meanwhile
_CANCEL_S = 5.0  # a cancelled launch may have a child process of its own to kill and reap
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watch:
    """The intervals at which a ready replica is watched, in seconds.

    hang_after: requests out and no byte for this long, then a canary, which has `canary` to answer.
    patience: how long a silent engine that computes is believed.
    idle: with nothing out, a canary this often; None for never.
    scrape: between two readings of /metrics, each with `scrape_timeout`.
    canaries: asked at once, where each may reach another engine behind a balancer: one answer is life.
    """

    hang_after: float = 10.0
    canary: float = 10.0
    patience: float = 120.0
    idle: float | None = 30.0
    scrape: float = 1.0
    scrape_timeout: float = 3.0
    canaries: int = 1


class Supervisor:
    """The owner of one replica's state.

    changed: called after every change of state. hurry: once set, endings give no grace. clock: monotonic seconds; sleep
    its companion. Whatever raises inside one of its tasks is logged or becomes the failure of the run: the task that
    owns the state ends by `close` alone.

    aside: it gets no requests while it serves another model than the one that the engine is known by.
    """

    aside = False

    def __init__(
        self,
        instance: Instance,
        policy: RestartPolicy,
        watch: Watch,
        *,
        clock: Callable[[], float],
        sleep: Sleep,
        changed: Callable[[], None],
        hurry: asyncio.Event,
    ) -> None:
        self._instance = instance
        self._policy = policy
        self._watch = watch
        self._clock = clock
        self._sleep = sleep
        self._changed = changed
        self._hurry = hurry
        self._notice: Notice = lambda line: None
        self._life = Life(since=clock())
        self._served = Served(())
        self._telemetry: Telemetry | None = None
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._owner: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None  # one launch, from its start to its end
        self._chores: set[asyncio.Task[None]] = set()  # endings and timers
        self._alive_at = 0.0  # when the canary or the counters last proved life

    def begin(self, notice: Notice) -> None:
        """Starts to take events. Needs a running event loop."""
        self._notice = safe(notice)
        self._owner = asyncio.create_task(self._take_events(), name=f"supervisor {self._instance.name}")

    def send(self, event: Event) -> None:
        self._events.put_nowait(event)

    async def close(self) -> None:
        """Ends its tasks within a second. A replica that is not at rest by then is killed without waiting."""
        tasks = [task for task in (self._owner, self._running, *self._chores) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_S)
        self._instance.kill()

    @property
    def state(self) -> ReplicaState:
        return self._life.state

    @property
    def begun(self) -> bool:
        return self._owner is not None

    @property
    def launched(self) -> bool:
        """True once it has been started at least once."""
        return self._life.run > 0

    @property
    def models(self) -> tuple[str, ...]:
        """The ids it answers to, the one to use first; those it last had while it is not ready."""
        return self._served.models

    @property
    def slots(self) -> int | None:
        """Sequences the engine runs at a time, where known."""
        return self._served.slots

    @property
    def in_flight(self) -> int:
        return self._instance.hop.in_flight

    def view(self) -> ReplicaView:
        life, hop, estimate = self._life, self._instance.hop, self._instance.estimate_s
        up = life.state in (ReplicaState.READY, ReplicaState.DRAINING)
        due = None if life.retry_at is None else max(life.retry_at, self._clock()) + estimate
        if life.state is ReplicaState.STARTING:
            due = ready_at(life.since, estimate, self._clock())
        return ReplicaView(
            name=self._instance.name,
            state=life.state,
            since=life.since,
            run=life.run,
            models=self._served.models,
            max_model_len=self._served.max_model_len,
            pid=self._instance.pid,
            address=self._instance.address,
            restarts=life.restarts,
            cause=life.cause,
            ready_at=due,
            telemetry=self._telemetry if up else None,
            in_flight=hop.in_flight,
            last_byte_at=hop.last_byte_at,
            slots=self._served.slots,
            pools=self._served.pools,
            adapters=self._served.adapters,
            asleep=up and self._instance.asleep,
        )

    # -- the owner of the state

    async def _take_events(self) -> None:
        while True:
            event = await self._events.get()
            try:
                before = self._life
                self._life, actions = lifecycle.step(before, event, self._clock(), self._policy)
                for action in actions:
                    self._act(action)
                if self._life.state is not before.state:
                    self._changed()
                    self._tell(before)
            except Exception:  # noqa: BLE001 - an illegal transition, say; the replica must still be watched
                _log.exception("%s: %s could not be handled", self._instance.name, type(event).__name__)
                self._notice(f"{self._instance.name}: a fault in Hearth, please report it; the log has the traceback")

    def _act(self, action: lifecycle.Action) -> None:
        name = self._instance.name
        match action:
            case LaunchRun(run):
                self._running = asyncio.create_task(self._live(run), name=f"{name} run {run}")
            case EndRun(run, grace):
                self._chore(self._end(run, grace), f"{name} end of run {run}")
            case WakeRun(run, at):
                self._chore(self._send_at(at, RetryDue(run)), f"{name} back-off after run {run}")

    async def _send_at(self, at: float, event: Event) -> None:
        await self._sleep(max(0.0, at - self._clock()))
        self.send(event)

    def _chore(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    def _tell(self, before: Life) -> None:
        """One line per change a person wants to know of."""
        life, name, now = self._life, self._instance.name, self._clock()
        match life.state:
            case ReplicaState.READY:
                self._notice(f"{name}: ready after {now - before.since:.0f} s")
            case ReplicaState.STOPPING if life.then is not ReplicaState.STOPPED:
                self._notice(f"{name}: {life.cause}")
            case ReplicaState.BACKING_OFF:
                self._notice(f"{name}: next try in {(life.retry_at or now) - now:.0f} s")
            case ReplicaState.STARTING if life.restarts > before.restarts:
                self._notice(f"{name}: starting again (restart {life.restarts})")
            case ReplicaState.GIVEN_UP:
                self._notice(f"{name}: given up; {life.cause}")

    # -- one run

    async def _live(self, run: int) -> None:
        try:
            self._served = await self._instance.bring_up(run, self._notice)
            self._alive_at = self._clock()
            self.send(RunReady(run))
            fault = await self._first_fault()
        except ReplicaFault as error:
            fault = error
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in a run is its failure
            _log.exception("%s: run %d", self._instance.name, run)
            fault = ReplicaFault(f"{type(error).__name__}: {error}")
        self.send(RunFailed(run, fault.cause, fault.deterministic))

    async def _first_fault(self) -> ReplicaFault:
        """Watches a ready replica until one of its watches reports a fault; the others are cancelled."""
        watches = {"end": self._instance.ended(self._serves), "hang": self._hung(), "metrics": self._scrape_on()}
        tasks = [
            asyncio.create_task(watch, name=f"{self._instance.name} {name} watch") for name, watch in watches.items()
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _serves(self, served: Served) -> None:
        """Takes over what a ready engine now serves: its server may load another model at any moment."""
        if served != self._served:
            same = served.models[:1] == self._served.models[:1]
            self._served = served
            self._changed()
            self._notice(f"{self._instance.name}: serves {', '.join(served.models) if same else served.models[0]} now")

    async def _end(self, run: int, grace: float) -> None:
        try:
            if self._running is not None:
                self._running.cancel()
                await asyncio.wait((self._running,), timeout=_CANCEL_S)
            self._telemetry = None
            await self._instance.take_down(grace, self._hurry)
        except Exception as error:  # noqa: BLE001 - a replica stuck in `stopping` would never come back
            self._notice(f"{self._instance.name}: could not be ended cleanly: {error}")
        self.send(RunGone(run))

    # -- watching

    async def _scrape_on(self) -> ReplicaFault:
        while True:
            await self._scrape()
            await self._sleep(self._watch.scrape)

    async def _scrape(self) -> int | None:
        """Reads /metrics: tokens so far, None if they are not in it. A late reply or a 404 is no fault."""
        try:
            status, body = await self._instance.hop.probe("/metrics", self._watch.scrape_timeout)
        except HopError:
            return None
        if status != 200:
            return None
        self._telemetry = read = telemetry.parse(body.decode("utf-8", "replace"), self._clock())
        return read.prompt_tokens + read.generation_tokens if read is not None else None

    async def _hung(self) -> ReplicaFault:
        """Returns once the replica is judged to hang."""
        tick = min(0.5, self._watch.hang_after / 4)
        doubted = -1.0  # the start of the silence since the last sign of life: requests that are given up do not end it
        while True:
            await self._sleep(tick)
            silent_from = self._suspicious()
            if silent_from is None:
                continue
            if max(self._instance.hop.last_byte_at or 0.0, self._alive_at) >= doubted:
                doubted = silent_from
            silent_from = doubted
            verdict, words = await self._examine(silent_from)
            if verdict is HangVerdict.ALIVE:
                self._alive_at = self._clock()
            if verdict is HangVerdict.HUNG:
                silent = self._clock() - silent_from
                return ReplicaFault(
                    f"hung: no sign of life for {silent:.0f} s with {self.in_flight} requests out; {words}"
                )

    def _suspicious(self) -> float | None:
        """The start of the present silence, if it is long enough for a canary."""
        hop, now = self._instance.hop, self._clock()
        if hop.quiet_since is not None:
            since, limit = max(hop.quiet_since, self._alive_at), self._watch.hang_after
        else:
            since, limit = max(hop.last_byte_at or 0.0, self._alive_at), self._watch.idle or float("inf")
        return since if now - since >= limit else None

    async def _examine(self, silent_from: float) -> tuple[HangVerdict, str]:
        question = self._instance.canary
        if question is None:
            return HangVerdict.ALIVE, ""
        began, before = self._clock(), await self._look()
        outcome = await canary.ask(self._instance.hop, question, self._watch.canary, self._watch.canaries)
        if outcome.answer is not CanaryAnswer.GIVEN:
            await self._sleep(max(0.0, began + self._watch.canary - self._clock()))
        now = self._clock()
        if now - began > self._watch.canary + self._watch.scrape_timeout + _STOOD_STILL_S:
            return HangVerdict.WAIT, ""  # it was this process that heard nothing
        verdict = judge(
            outcome.answer,
            before,
            await self._look(),
            window_s=now - began,
            silent_s=now - silent_from,
            patience_s=self._watch.patience,
        )
        return verdict, outcome.words

    async def _look(self) -> Evidence:
        tokens = await self._scrape()
        work = await in_daemon_thread(self._instance.work, f"{self._instance.name} processor time")
        cpu_s, compiling_s = (work.cpu_s, work.compiling_s) if work is not None else (None, None)
        return Evidence(tokens, cpu_s, compiling_s, self._instance.hop.last_byte_at)
