"""Models from the hub: downloaded with progress, resumed where they were left, and every refusal in a clear sentence.

The work is done by `hub_fetch.py` in a child process; this module starts it, reads its lines, ends it when cancelled.
Files lie in the hub's own cache (`HF_HOME`), shared with every other program that uses it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_models.host.child import kill_group, tail_of
from local_models.weights.errors import (
    AccessDeniedError,
    DownloadError,
    NoSpaceError,
    NoSuchModelError,
    NotAModelError,
    OfflineError,
    WeightsError,
)
from local_models.wire.url import without_secrets
from runtime.contract.guard import Cargo, Guard, Receiver, Way

SCRIPT = Path(__file__).with_name("hub_fetch.py")
ENDPOINT = "https://huggingface.co"  # where HF_ENDPOINT names no other
GIB = 1 << 30
_LINE = 1 << 22  # bytes of one line: a config.json may be long


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """Bytes: on disk so far, and in all."""

    done: int
    total: int


async def download(
    repo: str,
    *,
    guard: Guard,
    environ: Mapping[str, str],
    progress: Callable[[DownloadProgress], None],
    revision: str | None = None,
    offline: bool = False,
) -> Path:
    """The folder with the model's files. Raises WeightsError. Cancelled, it ends; the next call resumes it."""
    if not offline:
        _show(guard, environ)
    request = {"repo": repo, "revision": revision, "offline": offline}
    last = await _ask(request, {**environ, **({"HF_HUB_OFFLINE": "1"} if offline else {})}, progress)
    return Path(str(last["path"]))


async def facts(repo: str, *, guard: Guard, environ: Mapping[str, str], revision: str | None = None) -> tuple[Any, int]:
    """The repository's config.json, whatever is in it, and the bytes of its weight files. Raises WeightsError."""
    _show(guard, environ)
    last = await _ask({"repo": repo, "revision": revision, "facts": True}, environ, lambda at: None)
    return last["config"], int(last["weights"])


def _show(guard: Guard, environ: Mapping[str, str]) -> None:
    """Shows the guard the way to the hub. Raises DepartureRefused."""
    guard.check(Cargo(Way.WEIGHTS), Receiver("hub", without_secrets(environ.get("HF_ENDPOINT") or ENDPOINT)))


async def _ask(
    request: Mapping[str, Any], environ: Mapping[str, str], progress: Callable[[DownloadProgress], None]
) -> dict[str, Any]:
    """The child's last word. Raises WeightsError where it is a fault."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", str(SCRIPT), json.dumps(request)),
        env={**environ, "HF_HUB_DISABLE_TELEMETRY": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=_LINE,
    )
    try:
        last: dict[str, Any]
        last, words = await asyncio.gather(_listen(child, progress), tail_of(child.stderr))
        await child.wait()
    finally:
        await kill_group(child)
    if "path" in last or "config" in last:
        return last
    raise explain(
        str(request["repo"]),
        str(last.get("fault", "other")),
        str(last.get("words") or "\n".join(words.splitlines()[-3:])),
    )


async def _listen(child: asyncio.subprocess.Process, progress: Callable[[DownloadProgress], None]) -> dict[str, Any]:
    """Passes progress on; gives the child's last word."""
    assert child.stdout is not None
    last: dict[str, Any] = {}
    async for line in child.stdout:
        with suppress(ValueError):
            last = json.loads(line)
        if "done" in last:
            progress(DownloadProgress(int(last["done"]), int(last["total"])))
    return last


def cache_folder(environ: Mapping[str, str]) -> Path:
    """The folder in which the hub's own library keeps its downloads."""
    if folder := environ.get("HF_HUB_CACHE"):
        return Path(folder).expanduser()
    home = environ.get("HF_HOME") or Path(environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(home).expanduser() / "hub"


def cached(repo: str, environ: Mapping[str, str]) -> Path | None:
    """The repository's whole snapshot in the hub's cache, None where it is not there or not whole."""
    folder = cache_folder(environ) / f"models--{repo.replace('/', '--')}"
    try:
        snapshot = folder / "snapshots" / (folder / "refs" / "main").read_text().strip()
        index, shards = snapshot / "model.safetensors.index.json", {"model.safetensors"}
        if index.is_file():
            shards = set(json.loads(index.read_text())["weight_map"].values())
        whole = (snapshot / "config.json").is_file() and all((snapshot / name).is_file() for name in shards)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # an odd index: the hub is asked again
        return None
    return snapshot if whole else None


def explain(repo: str, kind: str, words: str) -> WeightsError:
    """The child's fault as an error that says what to do."""
    page = f"https://huggingface.co/{repo}"
    again = f"hearth models pull {repo} resumes where it stopped"
    match kind:
        case "gated":
            return AccessDeniedError(
                f"{repo} is gated: its licence must be accepted first",
                f"accept it at {page}, make a token at https://huggingface.co/settings/tokens and set HF_TOKEN",
            )
        case "denied":
            return AccessDeniedError(f"the hub refused {repo}: {words}", f"check HF_TOKEN, and that it may read {page}")
        case "absent":
            return NoSuchModelError(
                f"the hub has no model {repo}, or it is private and no token was given",
                "check the spelling (org/name), or set HF_TOKEN",
            )
        case "revision":
            return NoSuchModelError(
                f"{repo} has no such revision: {words}", f"see the branches and tags at {page}/tree/main"
            )
        case "missing":
            return OfflineError(f"{repo} is not (wholly) in the hub's cache here, and the hub was not reached", again)
        case "space":
            room = ""
            with suppress(ValueError, KeyError, TypeError):
                facts = json.loads(words)
                need, free = facts["need"] / GIB, facts["free"] / GIB
                room = f": {need:.1f} GiB needed, {free:.1f} GiB free in {facts['folder']}"
            return NoSpaceError(
                f"no room on the disk for {repo}{room}", "free some space, or point HF_HOME at a larger disk"
            )
        case "weights":
            return NotAModelError(
                f"{repo} has no weights vLLM can be given: {words}", "choose a repository with *.safetensors files"
            )
        case "network":
            return DownloadError(f"the hub could not be reached for {repo}: {words}", f"check the network; {again}")
        case _:
            return DownloadError(f"{repo} could not be downloaded: {words}", again)
