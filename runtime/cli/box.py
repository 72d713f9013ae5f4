"""Reads the facts of this box for `hearth doctor`: processes, ports, folders, weights. Judges nothing, changes nothing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from local_models.host import orphans, procfs
from local_models.weights import hub, weights
from local_models.weights.cache import cache_home
from local_models.weights.errors import WeightsError
from local_models.weights.shards import weight_bytes
from runtime.cli.client import proxy_variable, unusable_proxy

_NVIDIA = Path("/proc/driver/nvidia/version")
_SHM = Path("/dev/shm")
_VERSION = re.compile(r"\b(\d+\.\d+(?:\.\d+)?)\b")
_WAIT_S = 3.0


def driver_version(file: Path = _NVIDIA) -> str | None:
    """Of the loaded NVIDIA kernel module."""
    with contextlib.suppress(OSError):
        found = _VERSION.search(file.read_text())
        return found[1] if found else "of unknown version"
    return None


def shm_size(folder: Path = _SHM) -> int | None:
    return shutil.disk_usage(folder).total if folder.is_dir() else None


@dataclass(frozen=True, slots=True)
class Engines:
    """Marked engine processes. living: pid -> replica; orphaned: pids whose runtime is dead."""

    living: Mapping[int, str]
    orphaned: tuple[int, ...]


def engines() -> Engines:
    here = procfs.pid_namespace()
    found = list(orphans.marked())
    dead = tuple(each.pid for each in found if orphans.owner_is_dead(each.marker.owner, here))
    return Engines({each.pid: each.marker.replica for each in found if each.pid not in dead}, dead)


@dataclass(frozen=True, slots=True)
class Weights:
    """place: None where they are not here. size: bytes to fetch, where known. fault, todo: why the name means nothing."""

    place: str | None = None
    size: int | None = None
    fault: str | None = None
    todo: str = ""


def look_for_weights(model: str, env: Mapping[str, str]) -> Weights:
    try:
        source = weights.resolve(model)
        if isinstance(source, weights.Folder):
            return Weights(str(source.path), weight_bytes(source.path))
    except WeightsError as fault:
        return Weights(fault=fault.what, todo=fault.remedy)
    match source:
        case weights.Builtin():
            kept = weights.shelf(source, cache_home(env))
            return Weights(str(kept.folder) if kept.whole() else None, source.wheel.size)
        case weights.Hub():
            place = hub.cached(source.repo, env)
            return Weights(str(place) if place else None, source.entry.weight_bytes if source.entry else None)


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def free_space(folder: Path) -> int:
    return shutil.disk_usage(existing(folder)).free


def why_not_writable(folder: Path) -> str | None:
    there = existing(folder)
    if os.access(there, os.W_OK | os.X_OK):
        return None
    return f"{there} belongs to another user" if there.stat().st_uid != os.getuid() else f"{there} is read-only"


def lock_owner(folder: Path) -> str | None:
    """The process that has locked the state folder, as it wrote itself down; None where nobody has."""
    try:
        with (folder / "lock").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or "?"
    except OSError:
        pass
    return None


def port_is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the runtime itself does
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def port_holder(port: int) -> str | None:
    """Name and pid of who listens on the port; None where that may not be seen."""
    with contextlib.suppress(psutil.Error):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port and each.pid:
                return f"{psutil.Process(each.pid).name()} (pid {each.pid})"
    return None


def answers_like_hearth(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError, ValueError):
        reply = httpx.get(f"{url}/health/live", timeout=_WAIT_S, trust_env=False)
        return reply.status_code == 200 and reply.json().get("status") == "live"
    return False


def ask_server(url: str, key: str | None, env: Mapping[str, str]) -> tuple[int | None, str]:
    """(status of GET /models, the reason without one). Proxies of the environment are for other machines only."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    variable = proxy_variable(url, env)
    try:
        models = f"{url.rstrip('/')}/models"
        return httpx.get(models, headers=headers, timeout=_WAIT_S, trust_env=variable is not None).status_code, ""
    except (httpx.HTTPError, httpx.InvalidURL) as fault:
        return None, f"{fault}{f' (through the proxy that {variable} names)' if variable else ''}"
    except (ImportError, ValueError):  # SOCKS, or a proxy's address that is none
        return None, unusable_proxy(variable)


def ask_store(url: str, password: str | None) -> tuple[str, str]:
    """(the fault of a fleet's store, what to do about it); both empty where it can be used."""
    from runtime.shared.store import tried  # noqa: PLC0415 - its client is loaded only where a store is named

    return tried(url, password, _WAIT_S)
