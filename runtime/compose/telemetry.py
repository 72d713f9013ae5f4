"""Telemetry, wired where a collector is configured; nothing that sends it is imported elsewhere."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec
from prometheus_client.core import Metric

from cloud.providers import TELEMETRY_NAMES
from runtime import __version__
from runtime.contract.guard import Guard
from runtime.record.decisions import Decision
from runtime.record.traces.collector import Collector, collector_of
from runtime.record.traces.context import TraceIds
from runtime.settings import Settings

if TYPE_CHECKING:
    from runtime.record.traces.exporter import Exporter

_READ_S = 5.0  # the loop's time to read the counters


class OutgoingTelemetry:
    """Traces and metrics of this process on their way to a collector. families: reads the counters, on the event loop.

    trace: the context that goes on to the engine and to clouds; None where none does. settled: takes each finished request;
    empty while telemetry is off.
    """

    def __init__(
        self, settings: Settings, env: Mapping[str, str], guard: Guard, families: Callable[[], Iterable[Metric]]
    ) -> None:
        chosen, self._off = settings.telemetry, ""
        self._guard, self._families = guard, families
        self._exporter: Exporter | None = None
        self._to = self._collector(settings, env)
        self._ids = TraceIds(secrets.token_bytes(16), chosen.sampled, everywhere=chosen.propagate == "all")
        on = self._to is not None
        self.trace = self._ids if on and chosen.propagate != "off" else None
        self.settled: tuple[Callable[[Decision], None], ...] = (self._offer,) if on else ()

    @property
    def trouble(self) -> str | None:
        """Why there is no telemetry although it is wanted, or its last failure."""
        return self._off or (self._exporter.trouble if self._exporter is not None else None)

    @property
    def dropped(self) -> int:
        """Requests whose spans were lost."""
        return self._exporter.dropped if self._exporter is not None else 0

    def start(self) -> None:
        """Starts the thread that sends, from within the loop. `close` ends it."""
        if self._to is None:
            return
        from runtime.record.traces.exporter import Exporter  # noqa: PLC0415 - half a second, for nothing while it is off

        loop = asyncio.get_running_loop()

        async def read() -> list[Metric]:
            return list(self._families())

        def read_there() -> list[Metric]:
            return asyncio.run_coroutine_threadsafe(read(), loop).result(_READ_S)

        self._exporter = Exporter(self._to, self._ids, __version__, self._guard, read_there)
        self._exporter.start()

    def close(self) -> None:
        """Sends what waits, for two seconds at most. Blocks: not for the loop."""
        if self._exporter is not None:
            self._exporter.close()

    def _offer(self, decision: Decision) -> None:
        if self._exporter is not None:
            self._exporter.offer(decision)

    def _collector(self, settings: Settings, env: Mapping[str, str]) -> Collector | None:
        try:
            found = collector_of(settings.telemetry.endpoint, env, __version__)
        except ValueError as fault:
            self._off = f"telemetry is off: {fault}"
            return None
        if found is None:
            return None
        return msgspec.structs.replace(found, slow_ms=settings.escalation.ttft_ms, providers=TELEMETRY_NAMES)
