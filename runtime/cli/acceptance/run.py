"""Runs the trial: the facts of the box, one engine through every check, and two replicas where there are two GPUs."""

from __future__ import annotations

import asyncio
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import psutil

from local_models.host.gpu import GpuProbe, survey
from local_models.replica.environment import NotFound, find_engine
from local_models.weights.errors import WeightsError
from runtime.cli.acceptance import trials
from runtime.cli.acceptance.outcome import (
    FAILED,
    NOT_MEASURED,
    PASSED,
    AcceptanceCheck,
    AcceptanceReport,
    NotMeasuredError,
    TrialFailedError,
)
from runtime.cli.acceptance.rig import Rig
from runtime.cli.acceptance.trials import Seen
from runtime.cli.box import driver_version
from runtime.cli.exits import CommandError
from runtime.cli.installation import installation
from runtime.cli.paint import amount
from runtime.settings.sections.engine import EngineSettings

START_S = 3600.0  # weights of a large model come over the network first


def acceptance(
    engine: EngineSettings, env: Mapping[str, str], probe: GpuProbe, notice: Callable[[str], None]
) -> AcceptanceReport:
    """The whole trial. Raises CommandError where there is no engine to try. notice: one line per check."""
    if engine.url:
        raise CommandError("[engine] url is set: the trial needs an engine of its own on this box")
    seen = survey(probe)
    found = find_engine(engine.device, seen.gpus, seen.reason, env=env, faults=seen.faults, python=engine.python)
    if isinstance(found, NotFound):
        raise CommandError(found.reason)
    gpus = seen.gpus if found.kind == "cuda" else ()
    box = {
        "Hearth": str(installation(env)),
        "engine": f"vLLM {found.vllm_version} for {found.kind}",
        "model": engine.model,
        "GPUs": ", ".join(f"{gpu.name} ({amount(gpu.memory_total)})" for gpu in seen.gpus) or f"none ({seen.reason})",
        "driver": driver_version() or "none",
        "processor": f"{psutil.cpu_count()} threads, {amount(psutil.virtual_memory().total)} memory",
        "system": f"{platform.platform()}, Python {sys.version.split()[0]}",
    }
    checks: list[AcceptanceCheck] = []

    def tried(name: str, trial: Callable[[], Seen]) -> bool:
        notice(f"{name} …")
        checks.append(outcome(name, trial))
        notice(f"{name}: {checks[-1].verdict}{f', {checks[-1].words}' if checks[-1].words else ''}")
        return checks[-1].verdict != FAILED

    with tempfile.TemporaryDirectory(prefix="hearth-trial-") as folder:
        with Rig(Path(folder), engine, env, START_S) as rig:
            if tried("start", lambda: trials.start(rig)):
                try:
                    verdict = asyncio.run(trials.predicted(rig, gpus, env))
                    tried("memory", lambda: trials.memory(rig, gpus, verdict))
                except WeightsError as unknown:
                    checks.append(AcceptanceCheck("memory", NOT_MEASURED, str(unknown)))
                for name, trial in trials.TRIALS:
                    tried(name, lambda trial=trial: trial(rig))  # type: ignore[misc]
        if len(gpus) > 1:
            with (
                tempfile.TemporaryDirectory(prefix="hearth-trial-") as second,
                Rig(Path(second), engine, env, START_S, 2) as rig,
            ):
                tried("two replicas", lambda: trials.start(rig))
        else:
            checks.append(AcceptanceCheck("two replicas", NOT_MEASURED, "needs two GPUs"))
    return AcceptanceReport(datetime.now(UTC).isoformat(timespec="seconds"), box, tuple(checks))


def outcome(name: str, trial: Callable[[], Seen]) -> AcceptanceCheck:
    """Runs one check. Whatever it raises is its outcome: the others go on."""
    began = time.monotonic()
    try:
        words, found = trial()
        return AcceptanceCheck(name, PASSED, words, found, time.monotonic() - began)
    except NotMeasuredError as missing:
        verdict, words = NOT_MEASURED, str(missing)
    except TrialFailedError as fault:
        verdict, words = FAILED, str(fault)
    except Exception as fault:  # noqa: BLE001 - an unforeseen fault is a finding of the trial too
        verdict, words = FAILED, f"{type(fault).__name__}: {fault}"
    return AcceptanceCheck(name, verdict, words, {}, time.monotonic() - began)
