"""`hearth serve`: the runtime in the foreground. Starts the engine, opens the door, drains on Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from runtime.cli.exits import CommandError, Exit
from runtime.cli.notify import CHORE as MANAGER
from runtime.cli.notify import ServiceManager
from runtime.cli.paint import paint_for
from runtime.cli.settings_file import FilePath, settings_file
from runtime.compose import door
from runtime.compose.effect import without_effect
from runtime.compose.runtime import Runtime, load_settings
from runtime.compose.state import StateLocked, lock_state
from runtime.compose.targets import leaving, retiring
from runtime.dialects.openai_chat.dialect import ChatDialect
from runtime.fleet.store import StoreRefusedError
from runtime.life.ask import Ask
from runtime.life.collected import Collected
from runtime.life.life import live
from runtime.server.connection import http_protocol
from runtime.server.listening import BACKLOG, address_of, listening
from runtime.server.logs import log_crashes
from runtime.settings import Changes, Live, Loaded, Settings, SettingsError, environment, state_dir, watch
from runtime.wire.raw_body import RawBody

_FIRST_QUESTION = "What is the capital of France?"
_FOREVER_S = 1e9
_YOUNG_OBJECTS = 10_000  # between two collections; Python's own 700 cost a twentieth of every request


def serve(
    path: FilePath = None,
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
    log_crashes()
    env, config = environment(), settings_file(path, config)
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
        serving = _Serving()
        try:
            runtime = Runtime(loaded, env, folder, notice, serving.fatal)
        except StoreRefusedError as refused:
            raise CommandError(str(refused), Exit.SETTINGS) from refused
        with asyncio.Runner(loop_factory=_loop) as runner:
            runner.run(serving.run(runtime, loaded, config, listener, first_answer=first_answer))
    if serving.fault is not None:
        raise CommandError(serving.fault, Exit.FAILED)


def notice(line: str) -> None:
    """One line for the operator. A closed or full stderr loses the line and nothing else."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _loop() -> asyncio.AbstractEventLoop:
    return uvicorn.Config("", loop="uvloop").get_loop_factory()()  # type: ignore[misc]


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """The door's socket, taken before anything expensive begins."""
    server = settings.server
    with contextlib.ExitStack() as stack:
        try:
            listener = stack.enter_context(listening(server.host, server.port, server.socket))
        except OSError as error:
            words = f"{error.strerror}; stop what holds it (hearth doctor names it) or choose another port: "
            raise CommandError(f"{words}HEARTH_SERVER__PORT=8001 hearth serve", Exit.FAILED) from error
        yield listener


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: how this process ends is decided here."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Serving:
    """One life of the process: up, serving, draining, down. fault: why it ended unasked, None where it was asked to."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._manager = ServiceManager(environment(), os.getpid())

    async def run(
        self, runtime: Runtime, loaded: Loaded, config: Path | None, listener: socket.socket, *, first_answer: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked_to_stop)
        door.log(loaded.settings)

        async def apply(settings: Settings, changes: Changes) -> None:
            await runtime.reload(settings)
            runtime.reloaded_at = time.time()
            door.log(settings)

        settings = Live(loaded, lambda: load_settings(config, environment()), apply, notice)
        runtime.house.live = settings
        runtime.record()
        # What is loaded by now stays: no collection looks at it again. A request leaves no circles, so that few are needed.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS)
        base = address_of(listener, runtime.settings.server.host, runtime.settings.server.path_prefix)
        _greet(runtime, base)

        hangup = asyncio.Event()

        async def reload() -> None:
            while True:
                await hangup.wait()
                hangup.clear()
                with self._manager.reloading():
                    await settings.reload()

        chores = runtime.chores
        loop.add_signal_handler(signal.SIGHUP, hangup.set)
        server = _server(runtime)
        serving = chores.start("server", lambda: server.serve(sockets=[listener]), once=True, vital=True)
        if self._manager.address is not None:
            chores.start(MANAGER, lambda: self._manager.keep(lambda: server.started, lambda: _status(runtime)))
        for name, work in runtime.background().items():
            chores.start(name, work)
        chores.start("settings", lambda: watch(settings))
        chores.start("reload", reload)
        chores.start("engine", lambda: _start_engine(runtime, base, first_answer=first_answer), once=True)
        stopped = asyncio.create_task(self._stop.wait(), name="hearth: stop")
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        await self._end(runtime, server, serving)

    def fatal(self, words: str) -> None:
        """Ends the process in order because a part of it that it cannot do without has failed."""
        self.fault = self.fault or words
        self._stop.set()
        notice(words)

    def _asked_to_stop(self) -> None:
        again = self._stop.is_set()
        (self._hurry if again else self._stop).set()
        notice("stopping at once" if again else "stopping: open answers may finish; once more to stop at once")

    async def _end(self, runtime: Runtime, server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
        """Refuse what is new, let what runs finish, cut what is left with an error, end the engine, close the records."""
        runtime.desk.draining = True
        runtime.feed.close()
        self._manager.send("STOPPING=1", f"STATUS={_status(runtime)}")
        await self._quiet(runtime, runtime.settings.server.drain)
        for task in list(runtime.app.tasks):
            task.cancel()
        await self._quiet(runtime, 2.0)
        lasting = ("server", MANAGER)  # a slow end is no reason for the watchdog
        await runtime.chores.stop(*(each.name for each in runtime.chores.views() if each.name not in lasting))
        await asyncio.gather(runtime.engine.stop(hurry=self._hurry), runtime.local.models.owner.stop(hurry=self._hurry))
        server.should_exit = server.force_exit = True
        await asyncio.wait({serving}, timeout=5.0)
        await runtime.aclose()
        await runtime.chores.stop(MANAGER)
        notice("stopped")

    async def _quiet(self, runtime: Runtime, seconds: float) -> None:
        """Until no request runs, the time is over, or somebody is in a hurry."""
        running = runtime.app.tasks
        if not running:
            return
        hurry = asyncio.create_task(self._hurry.wait(), name="hearth: hurry")
        over = asyncio.create_task(asyncio.wait(list(running)), name="hearth: drain")
        await asyncio.wait((hurry, over), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        over.cancel()


def _server(runtime: Runtime) -> uvicorn.Server:
    return _Server(
        uvicorn.Config(
            runtime.app,
            http=http_protocol(door.connection_limits(runtime.settings)),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            backlog=BACKLOG,
        )
    )


def _status(runtime: Runtime) -> str:
    """One line for the service manager: the model, the states of its replicas, what runs."""
    states = ", ".join(view.state for view in runtime.engine.views())
    draining = "draining; " if runtime.desk.draining else ""
    return f"{draining}{runtime.engine.model} {states}; {len(runtime.app.tasks)} requests in flight"


def _greet(runtime: Runtime, base: str) -> None:
    notice(f"Hearth listens on {base}")
    today = datetime.now(UTC).date()
    settings = runtime.settings
    notes = (*without_effect(settings, environment()), *leaving(settings), *retiring(settings, today))
    for line in (*runtime.loaded.warnings, *notes):
        notice(f"note: {line}")
    for name, (_, why) in runtime.fleet.clouds.absent.items():
        notice(f"note: target {name} is absent: {why}")


async def _start_engine(runtime: Runtime, base: str, *, first_answer: bool) -> None:
    """Starts the engine, and says when it answers for the first time, or why it never will."""
    engine = runtime.engine
    await engine.start(notice)
    if not await engine.wait_ready(_FOREVER_S):
        causes = {view.cause for view in engine.views() if view.cause}
        notice(f"the engine was given up: {'; '.join(sorted(causes)) or 'no cause is known'}")
        return
    notice(f"ready: {engine.model} answers at {base}/v1 (OpenAI dialect)")
    if first_answer:
        await _show_first_answer(runtime)


async def _show_first_answer(runtime: Runtime) -> None:
    """Asks the box's own model one question, as any client would, and shows the answer."""
    body = {
        "model": "local",
        "messages": [{"role": "user", "content": _FIRST_QUESTION}],
        "temperature": 0,
        "max_tokens": 32,
    }
    desk, sink = runtime.desk, Collected()
    asked = Ask(desk.ids.next(), ChatDialect(wall=time.time), RawBody(json.dumps(body).encode()), {}, desk.clock())
    settled = await live(desk, asked, sink)
    if settled.error is not None:
        notice(f"the first question was not answered: {settled.error.message}")
        return
    text = json.loads(sink.body)["choices"][0]["message"]["content"]
    paint = paint_for(sys.stdout, environment())
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.write(f"{paint(_FIRST_QUESTION, 'dim')}\n{text.strip()}\n")
        sys.stdout.flush()
