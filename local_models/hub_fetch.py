"""Downloads one repository from the hub. Runs as a script in a child process, so that a download can be ended at once.

    PYTHON -I hub_fetch.py '{"repo": "org/name", "revision": null, "offline": false}'
    PYTHON -I hub_fetch.py '{"repo": "org/name", "facts": true}'

Prints one JSON object per line: `{"need": bytes, "total": bytes}` once, `{"done": bytes, "total": bytes}` as bytes
arrive, and last either `{"path": folder}` or `{"fault": kind, "words": text}` (kinds: gated, denied, absent, revision,
missing, network, space, weights, other). What was half fetched stays in the hub's own cache; the next run resumes it.
With `facts` nothing but config.json is fetched, and the last line is `{"config": {...}, "weights": bytes}`.
Knows huggingface_hub; knows nothing of Hearth, which need not be importable here. Never fetches code.
"""

from __future__ import annotations

import errno
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from huggingface_hub import constants, errors, hf_hub_download, snapshot_download
from tqdm.auto import tqdm  # type: ignore[import-untyped]

ALLOWED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.tiktoken", "*.txt")
IGNORED = ("original/*", "consolidated*", "metal/*", "onnx/*", "figures/*", "assets/*")
_EVERY_S = 0.5
_SPARE = 1 << 30  # bytes left free: a full disk harms more than this download


class FaultError(Exception):
    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


class Report(tqdm):  # type: ignore[misc]
    """A progress bar that prints lines for another program. Only the bar that counts bytes on disk speaks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.pop("name", None)
        self.speaks = kwargs.get("unit") == "B" and not str(kwargs.get("desc", "")).startswith("Downloading bytes")
        self.spoke = 0.0
        super().__init__(*args, **{**kwargs, "disable": False, "leave": False, "file": _Nowhere()})

    def update(self, n: float | None = 1) -> bool | None:
        shown: bool | None = super().update(n)
        if self.speaks and time.monotonic() - self.spoke >= _EVERY_S:
            self.spoke = time.monotonic()
            say(done=int(self.n), total=int(self.total or 0))
        return shown


class _Nowhere:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None: ...


def say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)  # noqa: T201


def fetch(repo: str, revision: str | None, offline: bool) -> str:
    """The snapshot's folder. Raises FaultError and whatever huggingface_hub raises."""
    what: dict[str, Any] = {
        "repo_id": repo,
        "revision": revision,
        "allow_patterns": list(ALLOWED),
        "ignore_patterns": list(IGNORED),
        "tqdm_class": Report,
    }
    if not offline:
        weigh(snapshot_download(**what, dry_run=True))
    folder = str(snapshot_download(**what, local_files_only=offline))
    if not list(Path(folder).glob("*.safetensors")):
        raise FaultError("weights", "no safetensors file at its top level")
    return folder


def facts(repo: str, revision: str | None) -> dict[str, Any]:
    """config.json, and the bytes of the weight files, without fetching them."""
    files = snapshot_download(
        repo, revision=revision, allow_patterns=["*.safetensors"], ignore_patterns=list(IGNORED), dry_run=True
    )
    if not files:
        raise FaultError("weights", "no safetensors file in the repository")
    config = json.loads(Path(hf_hub_download(repo, "config.json", revision=revision)).read_text())
    return {"config": config, "weights": sum(file.file_size or 0 for file in files)}


def weigh(files: list[Any]) -> None:
    """Says how much is to come. Raises FaultError where the disk has no room, or where there are no weights."""
    if not any(file.filename.endswith(".safetensors") for file in files):
        raise FaultError("weights", "no safetensors file in the repository")
    need = sum(file.file_size or 0 for file in files if file.will_download)
    say(need=need, total=sum(file.file_size or 0 for file in files))
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    begun = sum(path.stat().st_size for path in cache.glob("models--*/blobs/*.incomplete"))
    free = shutil.disk_usage(cache).free
    if need and need - begun + _SPARE > free:
        raise FaultError("space", json.dumps({"need": need - begun, "free": free, "folder": str(cache)}))


# The hub's exceptions and what they mean; the first that fits, so the particular before the general.
_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (errors.GatedRepoError, "gated"),
    (errors.RepositoryNotFoundError, "absent"),
    (errors.RevisionNotFoundError, "revision"),
    (errors.HFValidationError, "absent"),
    (errors.LocalEntryNotFoundError, "missing"),
    (errors.DryRunError, "network"),
    (errors.OfflineModeIsEnabled, "missing"),
)


def kind_of(error: BaseException) -> str:
    chain = _chain(error)
    for link in chain:
        for kind, name in _KINDS:
            if isinstance(link, kind) and name != "network":
                return name
        if isinstance(link, errors.HfHubHTTPError) and link.response.status_code in {401, 403}:
            return "denied"
        if isinstance(link, OSError) and link.errno == errno.ENOSPC:
            return "space"
    return "network" if any(_of_the_network(link) for link in chain) else "other"


def _of_the_network(error: BaseException) -> bool:
    """httpx has had two distributions; its errors are known by their own module's name."""
    return isinstance(error, errors.DryRunError | errors.HfHubHTTPError | ConnectionError | TimeoutError) or any(
        base.__module__.split(".")[0] in {"httpx", "httpx2"} for base in type(error).__mro__
    )


def _chain(error: BaseException | None) -> list[BaseException]:
    """The cause first known to the hub, and what it wraps."""
    links: list[BaseException] = []
    while error is not None:
        links.append(error)
        error = error.__cause__
    return links


def main(request: dict[str, Any]) -> int:
    try:
        if request.get("facts"):
            say(**facts(request["repo"], request.get("revision")))
        else:
            say(path=fetch(request["repo"], request.get("revision"), bool(request.get("offline"))))
    except FaultError as fault:
        say(fault=fault.kind, words=str(fault))
        return 1
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent hears it as one line
        cause = _chain(error)[-1]
        say(fault=kind_of(error), words=f"{type(cause).__name__}: {str(cause).splitlines()[0] if str(cause) else ''}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
