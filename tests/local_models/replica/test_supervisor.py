"""A supervisor over an instance that does as it is told, on a fake clock: no process, no waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from local_models.host.procfs import Work
from local_models.replica import telemetry
from local_models.replica.canary import CanaryQuestion
from local_models.replica.instance import ReplicaFault, Served
from local_models.replica.lifecycle import DrainReplica, RestartPolicy, RunReady, StartReplica, StopReplica
from local_models.replica.prepared import Notice
from local_models.replica.supervisor import Supervisor, Watch
from runtime.contract.engine import ReplicaState
from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.hop import HttpCall, Reply
from tests.fakes.clock import FakeClock


class TellingHop:
    """A hop whose counts and probes a test sets."""

    def __init__(self, clock: FakeClock) -> None:
        self.in_flight = 0
        self.last_byte_at: float | None = None
        self.quiet_since: float | None = None
        self.tokens = 0
        self.canary: int | None = 200  # status; None: silence
        self.canaries = 0
        self._clock = clock

    async def open(self, call: HttpCall, *, connect_s: float) -> Reply:
        raise NotImplementedError

    async def aclose(self) -> None: ...

    async def probe(self, path: str, timeout_s: float, *, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
        if path == "/metrics":
            return 200, f"vllm:generation_tokens_total{{}} {self.tokens}.0\n".encode()
        self.canaries += 1
        if self.canary is None:
            await self._clock.sleep(timeout_s)
            raise HopError(Failure(Kind.SILENT, Disposition.NEXT_CANDIDATE, f"no answer within {timeout_s:g} s"))
        return self.canary, b"{}"


class TellingInstance:
    """starts: what each bring_up does, in order; the last one is repeated."""

    name = "replica-0"
    address = "/nowhere.sock"
    pid: int | None = 4711
    estimate_s = 40.0
    asleep = False

    def __init__(self, clock: FakeClock, *starts: ReplicaFault | Served) -> None:
        self.hop = TellingHop(clock)
        self.canary: CanaryQuestion | None = CanaryQuestion("/v1/completions", b"{}")
        self.launched: list[float] = []
        self.taken_down: list[float] = []
        self.cpu = 0.0
        self.compiling = 0.0
        self.kills = 0
        self.ends_never = False
        self.end_error: Exception | None = None
        self._starts = list(starts)
        self._clock = clock
        self._end: asyncio.Future[ReplicaFault] | None = None

    async def bring_up(self, run: int, notice: Notice) -> Served:
        self.launched.append(self._clock())
        start = self._starts.pop(0) if len(self._starts) > 1 else self._starts[0]
        if isinstance(start, ReplicaFault):
            raise start
        self._end = asyncio.get_running_loop().create_future()
        return start

    async def ended(self, changed: Callable[[Served], None]) -> ReplicaFault:
        assert self._end is not None
        return await self._end

    def die(self, cause: str) -> None:
        assert self._end is not None
        self._end.set_result(ReplicaFault(cause))

    async def take_down(self, grace_s: float, hurry: asyncio.Event) -> None:
        self.taken_down.append(grace_s)
        if self.ends_never:
            await asyncio.Event().wait()
        if self.end_error is not None:
            raise self.end_error

    def kill(self) -> None:
        self.kills += 1

    def work(self) -> Work | None:
        return Work(self.cpu, self.compiling)


UP = Served(("llama",), 2048)
CRASH = ReplicaFault("it crashed")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(0.0)


class Running:
    def __init__(
        self,
        clock: FakeClock,
        *starts: ReplicaFault | Served,
        watch: Watch | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.instance = TellingInstance(clock, *starts)
        self.said: list[str] = []
        self.notice: Notice = self.said.append
        self.supervisor = Supervisor(
            self.instance,
            RestartPolicy(grace=5.0),
            watch or Watch(idle=None),
            clock=clock,
            sleep=clock.sleep,
            changed=changed,
            hurry=asyncio.Event(),
        )

    async def __aenter__(self) -> Running:
        self.supervisor.begin(self.notice)
        self.supervisor.send(StartReplica())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.supervisor.close()

    @property
    def state(self) -> ReplicaState:
        return self.supervisor.state


async def judged(clock: FakeClock, running: Running) -> None:
    """Lets the watch come to a verdict; one look is taken in a thread, so real time passes too."""
    for _ in range(60):
        await clock.advance(0.5)
        await asyncio.sleep(0.002)
        if running.instance.taken_down:
            return


async def test_failing_starts_back_off_on_the_clock(clock: FakeClock) -> None:
    """Launches come after 10, 20, 40 … seconds, and after ten failures none comes any more."""
    async with Running(clock, CRASH) as running:
        await clock.advance(5000)
        gaps = [b - a for a, b in zip(running.instance.launched, running.instance.launched[1:], strict=False)]
        assert gaps == [10, 20, 40, 80, 160, 300, 300, 300, 300]
        assert running.state is ReplicaState.GIVEN_UP
        assert "gave up after 10 failures in a row; the last: it crashed" in running.said[-1]


async def test_a_deterministic_fault_is_not_tried_again(clock: FakeClock) -> None:
    """One launch, then given up with the cause in the view."""
    async with Running(clock, ReplicaFault("vLLM does not know --x", deterministic=True)) as running:
        await clock.advance(5000)
        view = running.supervisor.view()
        assert (len(running.instance.launched), view.state) == (1, ReplicaState.GIVEN_UP)
        assert view.cause == "vLLM does not know --x"
        assert view.ready_at is None


async def test_a_crash_while_serving_is_answered_at_once(clock: FakeClock) -> None:
    """No second passes between a first crash and the next launch, and the processes are ended without grace between them."""
    async with Running(clock, UP) as running:
        await clock.advance(5)
        running.instance.die("killed by signal 9")
        await clock.advance(0)
        assert (running.instance.launched, running.instance.taken_down) == ([0, 5], [0.0])
        assert (running.state, running.supervisor.view().restarts) == (ReplicaState.READY, 1)


async def test_a_wait_is_estimated(clock: FakeClock) -> None:
    """While backing off, ready is the next try plus what a start takes."""
    async with Running(clock, CRASH) as running:
        await clock.advance(4)
        view = running.supervisor.view()
        assert (view.state, view.ready_at) == (ReplicaState.BACKING_OFF, 10 + 40)


async def test_an_engine_that_stands_still_is_hung(clock: FakeClock) -> None:
    """A request out, no byte, no token, no processor time, no canary: it is ended and started again."""
    async with Running(clock, UP) as running:
        await clock.advance(1)
        hop = running.instance.hop
        hop.in_flight, hop.quiet_since, hop.canary = 1, clock(), None
        await judged(clock, running)
        assert running.instance.taken_down == [0.0]
        assert 20 <= clock() <= 25
        assert "hung: no sign of life for 2" in (running.supervisor.view().cause or "")


async def test_a_process_that_was_stopped_during_a_canary_asks_again(clock: FakeClock) -> None:
    """The engine had nothing to do in that minute, and no answer of it was read: that is no evidence."""
    async with Running(clock, UP) as running:
        await clock.advance(1)
        hop = running.instance.hop
        hop.in_flight, hop.quiet_since, hop.canary = 1, clock(), None
        while not hop.canaries:
            await clock.advance(0.5)
            await asyncio.sleep(0.001)
        clock.jump(60.0)
        hop.canary = 200
        for _ in range(20):
            await clock.advance(0.5)
            await asyncio.sleep(0.001)
        assert hop.canaries >= 2
        assert running.state is ReplicaState.READY and not running.instance.taken_down


async def test_requests_that_are_given_up_and_come_again_do_not_hide_a_hang(clock: FakeClock) -> None:
    """Of an engine whose processor time is not seen: each request is silent for 15 s alone, the engine for two minutes."""
    async with Running(clock, UP, watch=Watch(idle=None)) as running:
        await clock.advance(1)
        hop = running.instance.hop
        hop.canary = None
        running.instance.work = lambda: None  # type: ignore[method-assign]
        began = clock()
        while not running.instance.taken_down and clock() - began < 300.0:
            hop.in_flight, hop.quiet_since = (1, clock()) if hop.quiet_since is None else (0, None)
            for _ in range(30 if hop.in_flight else 2):
                await clock.advance(0.5)
                await asyncio.sleep(0.001)
        assert 120.0 <= clock() - began <= 160.0
        assert running.instance.taken_down == [0.0]


async def test_a_long_prefill_is_not_a_hang(clock: FakeClock) -> None:
    """It computes, so the silent canary is forgiven for as long as patience lasts."""
    async with Running(clock, UP, watch=Watch(idle=None, patience=1e9)) as running:
        hop = running.instance.hop
        hop.in_flight, hop.quiet_since, hop.canary = 1, clock(), None
        for _ in range(200):
            running.instance.cpu += 0.5
            await clock.advance(0.5)
            await asyncio.sleep(0.001)
        assert hop.canaries >= 2
        assert running.state is ReplicaState.READY


async def test_a_compiler_at_work_outlasts_patience(clock: FakeClock) -> None:
    """The first log probabilities on a busy machine: no byte, no token and no canary for minutes, and no hang."""
    async with Running(clock, UP, watch=Watch(idle=None, patience=30.0)) as running:
        hop = running.instance.hop
        hop.in_flight, hop.quiet_since, hop.canary = 1, clock(), None
        for _ in range(400):
            running.instance.cpu += 0.5
            running.instance.compiling += 0.5
            await clock.advance(0.5)
            await asyncio.sleep(0.001)
        assert hop.canaries >= 2
        assert running.state is ReplicaState.READY
        await judged(clock, running)  # the compiler has ended, and nothing else moves
        assert "hung: no sign of life" in (running.supervisor.view().cause or "")


async def test_whole_answers_that_fill_every_slot_are_not_a_hang(clock: FakeClock) -> None:
    """No byte comes and the canary waits in the queue, but the engine's counters move."""
    async with Running(clock, UP) as running:
        hop = running.instance.hop
        hop.in_flight, hop.quiet_since, hop.canary = 2, clock(), None
        for _ in range(200):
            hop.tokens += 1
            await clock.advance(0.5)
            await asyncio.sleep(0.001)
        assert hop.canaries >= 2
        assert running.state is ReplicaState.READY


async def test_an_idle_engine_that_hangs_is_found_too(clock: FakeClock) -> None:
    """With nothing out, a canary is asked now and then."""
    async with Running(clock, UP, watch=Watch(idle=30)) as running:
        await clock.advance(29)
        running.instance.hop.canary = None
        await judged(clock, running)
        assert "with 0 requests out" in (running.supervisor.view().cause or "")


async def test_metrics_are_kept_in_the_view(clock: FakeClock) -> None:
    """Read every second with the time of the reading; gone when the engine is."""
    async with Running(clock, UP) as running:
        running.instance.hop.tokens = 7
        await clock.advance(3.5)
        read = running.supervisor.view().telemetry
        assert read is not None
        assert (read.generation_tokens, read.at) == (7, 3.0)
        running.supervisor.send(StopReplica())
        await clock.advance(0)
        assert running.supervisor.view().telemetry is None


async def test_a_stop_gives_grace(clock: FakeClock) -> None:
    """Asked to end, the engine gets its seconds between TERM and KILL."""
    async with Running(clock, UP) as running:
        await clock.advance(1)
        running.supervisor.send(DrainReplica())
        running.supervisor.send(StopReplica())
        await clock.advance(0)
        assert (running.instance.taken_down, running.state) == ([5.0], ReplicaState.STOPPED)


@pytest.mark.parametrize(
    "error", [BrokenPipeError(32, "Broken pipe"), ValueError("I/O operation on closed file"), KeyError("x")]
)
async def test_a_notice_that_raises_changes_nothing(
    clock: FakeClock, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Start, crash, restart, a failed end and stop go their way, and the lines that could not be shown are in the log."""

    def broken(line: str) -> None:
        raise error

    running = Running(clock, UP)
    running.notice = broken
    async with running:
        await clock.advance(1)
        running.instance.die("killed by signal 9")
        await clock.advance(0)
        assert (running.state, running.supervisor.view().run) == (ReplicaState.READY, 2)
        running.instance.end_error = OSError("no such process")
        running.supervisor.send(StopReplica())
        await clock.advance(0)
        assert running.state is ReplicaState.STOPPED
    assert "replica-0: starting again (restart 1)" in caplog.text


async def test_an_event_that_cannot_happen_is_logged_and_the_next_one_is_taken(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of ours in one event does not end the task that owns the replica."""
    async with Running(clock, UP) as running:
        running.supervisor.send(RunReady(run=7))
        running.supervisor.send(StopReplica())
        await clock.advance(0)
        assert running.state is ReplicaState.STOPPED
    assert "RunReady could not be handled" in caplog.text
    assert "a fault in Hearth, please report it" in running.said[-1]


async def test_a_listener_of_changes_that_raises_does_not_end_the_supervisor(clock: FakeClock) -> None:
    """Whatever the callback raises, the next event is taken."""

    def changed() -> None:
        raise RuntimeError("a broken listener")

    async with Running(clock, UP, changed=changed) as running:
        await clock.advance(1)
        running.supervisor.send(StopReplica())
        await clock.advance(0)
        assert running.state is ReplicaState.STOPPED


async def test_a_watch_that_raises_is_the_failure_of_its_run(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in reading /metrics restarts the replica with a cause, and is not silent."""
    async with Running(clock, UP) as running:
        await clock.advance(0)
        with monkeypatch.context() as patch:
            patch.setattr(telemetry, "parse", lambda text, at: 1 / 0)
            await clock.advance(1)
        view = running.supervisor.view()
        assert (view.restarts, view.cause) == (1, "ZeroDivisionError: division by zero")


async def test_closing_kills_what_is_not_at_rest(clock: FakeClock) -> None:
    """An ending that never returns holds nobody up: close returns, and the replica was sent SIGKILL."""
    running = Running(clock, UP)
    async with running:
        await clock.advance(1)
        running.instance.ends_never = True
        running.supervisor.send(StopReplica())
        await clock.advance(0)
        assert running.state is ReplicaState.STOPPING
    assert running.instance.kills == 1
