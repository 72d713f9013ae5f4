"""`hearth serve`: the runtime in the foreground. Starts the engine, opens the door, drains on Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvicorn

from runtime.cli.exits import CommandError, Exit
from runtime.cli.paint import paint_for
from runtime.compose.runtime import Runtime, StateLocked, load_settings, lock_state, pending, retiring
from runtime.contract.hop import HttpCall
from runtime.server.gathered import HttpProtocol
from runtime.settings import Changes, Live, Loaded, Settings, SettingsError, environment, state_dir, watch

_FIRST_QUESTION = "What is the capital of France?"
_FIRST_ANSWER_S = 120.0
_FOREVER_S = 1e9
_YOUNG_OBJECTS = 10_000  # between two collections; Python's own 700 cost a twentieth of every request


def serve(
    config: Annotated[
        Path | None, typer.Option(help="settings file; left out: ./hearth.toml, the user's own, or the defaults")
    ] = None,
    first_answer: Annotated[
        bool, typer.Option("--first-answer", help="ask the engine one question once it is ready, and show the answer")
    ] = False,
) -> None:
    """Run the engine and the endpoint in the foreground. Ctrl-C lets open answers finish; a second one does not wait.

    Examples:

      hearth serve

      hearth serve --config hearth.toml
    """
    env = environment()
    try:
        loaded = load_settings(config, env)
    except SettingsError as error:
        raise CommandError(str(error), Exit.SETTINGS) from error
    folder = state_dir(env)
    try:
        lock = lock_state(folder)
    except StateLocked as error:
        words = f"{error}: stop it, or give this one its own folder with HEARTH_STATE_DIR"
        raise CommandError(words, Exit.FAILED) from error
    except OSError as error:
        raise CommandError(f"the state folder {folder} cannot be used: {error}", Exit.FAILED) from error
    with lock, _listening(loaded.settings) as listener:
        runtime = Runtime(loaded, env, folder, _notice)
        with asyncio.Runner(loop_factory=_loop) as runner:
            runner.run(_Serving(runtime, loaded, config, listener, first_answer).run())


def _loop() -> asyncio.AbstractEventLoop:
    return uvicorn.Config("", loop="uvloop").get_loop_factory()()  # type: ignore[misc]


def _collect_rarely() -> None:
    """What is loaded by now stays: no collection looks at it again. A request leaves no circles, so that few are needed."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)


def _notice(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """The door's socket, taken before anything expensive begins."""
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            words = (
                f"{host}:{port} cannot be listened on: {error.strerror}; stop what holds it (hearth doctor names it) "
                "or choose another port: HEARTH_SERVER__PORT=8001 hearth serve"
            )
            raise CommandError(words, Exit.FAILED) from error
        listener.setblocking(False)
        yield listener


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: how this process ends is decided here."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Serving:
    """One life of the process: up, serving, draining, down."""

    def __init__(
        self, runtime: Runtime, loaded: Loaded, config: Path | None, listener: socket.socket, first_answer: bool
    ) -> None:
        self._runtime = runtime
        self._listener = listener
        self._first_answer = first_answer
        self._live = Live(loaded, lambda: load_settings(config, environment()), self._apply, _notice)
        runtime.refused = lambda: self._live.refused
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._server = _Server(
            uvicorn.Config(
                runtime.app,
                http=HttpProtocol,
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                log_level="warning",
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=75,
                backlog=4096,
            )
        )

    async def run(self) -> None:
        runtime, loop = self._runtime, asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
        runtime.store.start()
        _collect_rarely()
        self._greet()
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        self._tasks += [
            asyncio.create_task(runtime.listen()),
            asyncio.create_task(watch(self._live)),
            asyncio.create_task(self._start_engine()),
        ]
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        await self._end(serving)

    def _greet(self) -> None:
        runtime = self._runtime
        port = self._listener.getsockname()[1]
        _notice(f"Hearth listens on http://{runtime.settings.server.host}:{port}")
        today = datetime.now(UTC).date()
        for line in (*runtime.loaded.warnings, *pending(runtime.settings), *retiring(runtime.settings, today)):
            _notice(f"note: {line}")
        for name, (_, why) in runtime.fleet.clouds.absent.items():
            _notice(f"note: target {name} is absent: {why}")

    async def _start_engine(self) -> None:
        """Starts it, and says when it answers for the first time, or why it never will."""
        engine = self._runtime.engine
        await engine.start(_notice)
        if not await engine.wait_ready(_FOREVER_S):
            causes = {view.cause for view in engine.views() if view.cause}
            _notice(f"the engine was given up: {'; '.join(sorted(causes)) or 'no cause is known'}")
            return
        port = self._listener.getsockname()[1]
        base = f"http://{self._runtime.settings.server.host}:{port}"
        _notice(f"ready: {engine.model} answers at {base}/v1 (OpenAI dialect)")
        if self._first_answer:
            await self._show_first_answer()

    async def _show_first_answer(self) -> None:
        lane = next(lane for lane in self._runtime.engine.lanes if lane.ready)
        body = {
            "model": lane.model,
            "messages": [{"role": "user", "content": _FIRST_QUESTION}],
            "temperature": 0,
            "max_tokens": 32,
        }
        try:
            async with asyncio.timeout(_FIRST_ANSWER_S):
                reply = await lane.hop.open(HttpCall("/chat/completions", msgspec.json.encode(body)), connect_s=5)
                answer = msgspec.json.decode(await reply.read())
            text = answer["choices"][0]["message"]["content"]
        except Exception as error:  # noqa: BLE001 - a greeting that fails must not end a server that works
            _notice(f"the first question was not answered: {error}")
            return
        paint = paint_for(sys.stdout, environment())
        sys.stdout.write(f"{paint(_FIRST_QUESTION, 'dim')}\n{text.strip()}\n")
        sys.stdout.flush()

    # Settings

    def _reload(self) -> None:
        self._tasks.append(asyncio.create_task(self._reloaded()))

    async def _reloaded(self) -> None:
        await self._live.reload()

    async def _apply(self, settings: Settings, changes: Changes) -> None:
        self._runtime.apply(settings)

    # The end

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
            return
        _notice("stopping: open answers may finish; once more to stop at once")
        self._stop.set()

    async def _end(self, serving: asyncio.Task[None]) -> None:
        """Refuse what is new, let what runs finish, cut what is left with an error, end the engine, close the records."""
        runtime = self._runtime
        runtime.desk.draining = True
        deadline = runtime.settings.server.drain
        await self._quiet(deadline)
        for task in list(runtime.app.tasks):
            task.cancel()
        await self._quiet(2.0)
        await runtime.engine.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server.should_exit = self._server.force_exit = True
        await serving
        await runtime.fleet.aclose()
        await runtime.cloud_client.aclose()
        runtime.responses.close()
        await asyncio.to_thread(runtime.store.close)
        _notice("stopped")

    async def _quiet(self, seconds: float) -> None:
        """Until no request runs, the time is over, or somebody is in a hurry."""
        running = self._runtime.app.tasks
        if not running:
            return
        hurry = asyncio.create_task(self._hurry.wait())
        over = asyncio.create_task(asyncio.wait(list(running)))
        await asyncio.wait((hurry, over), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        over.cancel()
