"""Downloads one repository from the hub. Runs as a script in a child process, so that a download can be ended at once.

    PYTHON -I hub_fetch.py '{"repo": "org/name", "revision": null, "offline": false}'
    PYTHON -I hub_fetch.py '{"repo": "org/name", "facts": true}'

Prints one JSON object per line: `{"done": bytes, "total": bytes}` as bytes arrive, and last either `{"path": folder}` or
`{"fault": kind, "words": text}` (kinds: gated, denied, absent, revision, missing, network, space, weights, other). With
`facts` nothing but config.json is fetched, and the last line is `{"config": {...}, "weights": bytes}`.

huggingface_hub 2 throws a half-fetched file away, and a file may have 50 GB; so the weight files are fetched here, into a
`.part` file beside the hub's own blobs that the next run continues, and are checked against the hub's sha256 before they
become blobs. All else, the layout of the cache included, is the library's. Never fetches code. Knows nothing of Hearth,
which need not be importable here.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import re
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from huggingface_hub import (
    constants,
    errors,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    snapshot_download,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]
from tqdm.auto import tqdm  # type: ignore[import-untyped]

ALLOWED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.tiktoken", "*.txt")
IGNORED = ("original/*", "consolidated*", "metal/*", "onnx/*", "figures/*", "assets/*")
INDEX = "model.safetensors.index.json"
_EVERY_S = 0.5
_AT_ONCE = 4  # files
_SPARE = 1 << 30  # bytes left free: a full disk harms more than this download
_SHA256 = re.compile(r"[0-9a-f]{64}")


class FaultError(Exception):
    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


class DownloadTally:
    """Bytes on disk, summed over all files and printed twice a second."""

    def __init__(self, done: int, total: int) -> None:
        self._done = done
        self._total = total
        self._told = 0.0
        self._lock = threading.Lock()
        self.tell()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            if time.monotonic() - self._told >= _EVERY_S:
                self.tell()

    def tell(self) -> None:
        self._told = time.monotonic()
        say(done=self._done, total=self._total)


class SilentBar(tqdm):  # type: ignore[misc]
    """The library's progress bar, drawn nowhere."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.pop("name", None)
        super().__init__(*args, **{**kwargs, "disable": True})


def bar_into(tally: DownloadTally) -> type[SilentBar]:
    """A progress bar for one file that adds to the tally."""

    class Bar(SilentBar):
        def update(self, n: float | None = 1) -> bool | None:
            tally.add(int(n or 0))
            return None

    return Bar


def say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)  # noqa: T201


def fetch(repo: str, revision: str | None, offline: bool) -> str:
    """The snapshot's folder. Raises FaultError and whatever huggingface_hub raises."""
    what: dict[str, Any] = {
        "repo_id": repo,
        "revision": revision,
        "allow_patterns": list(ALLOWED),
        "ignore_patterns": list(IGNORED),
        "tqdm_class": SilentBar,
    }
    total = 0
    if not offline:
        files = snapshot_download(**what, dry_run=True)
        total = sum(file.file_size or 0 for file in files)
        fetch_weights(repo, files)
    folder = str(snapshot_download(**what, local_files_only=offline))
    if total:
        say(done=total, total=total)
    if not list(Path(folder).glob("*.safetensors")):
        raise FaultError("weights", "no safetensors file at its top level")
    return folder


def fetch_weights(repo: str, files: list[Any]) -> None:
    """Brings the weight files that are not here, each from where it was left. Raises FaultError."""
    if not any(file.filename.endswith(".safetensors") for file in files):
        raise FaultError("weights", "no safetensors file in the repository")
    blobs = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}" / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    parts = sum(part.stat().st_size for part in blobs.glob("*.part"))
    missing = sum(file.file_size or 0 for file in files if file.will_download)
    total = sum(file.file_size or 0 for file in files)
    check_room(missing - parts, blobs)
    tally = DownloadTally(total - missing + parts, total)
    wanted = [file for file in files if file.will_download and file.filename.endswith(".safetensors")]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(lambda file: fetch_file(repo, file.filename, file.commit_hash, blobs, tally), wanted):
            pass


def fetch_file(repo: str, name: str, commit: str, blobs: Path, tally: DownloadTally) -> None:
    """One file into the hub's blobs, continued where it was left. Another process that fetches the same is waited for."""
    url = hf_hub_url(repo, name, revision=commit)
    head = get_hf_file_metadata(url)
    if not head.etag or not head.size or head.size > constants.MAX_HTTP_DOWNLOAD_SIZE:
        return  # the library's own way is left for it
    blob, part = blobs / head.etag, blobs / f"{head.etag}.part"
    with part.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if blob.exists():
            part.unlink(missing_ok=True)
            return
        if file.tell() > head.size:
            file.truncate(0)
        if file.tell() < head.size:
            http_get(
                url,
                file,
                resume_size=file.tell(),
                headers=build_hf_headers(),
                expected_size=head.size,
                displayed_filename=name,
                tqdm_class=bar_into(tally),
            )
        file.flush()
        check(part, head.etag, name)
        part.rename(blob)


def check(part: Path, etag: str, name: str) -> None:
    """Raises FaultError where the bytes are not the hub's; then the next run begins this file anew."""
    if not _SHA256.fullmatch(etag):
        return
    with part.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != etag:
        part.unlink()
        raise FaultError("other", f"{name} came with other bytes than the hub announced (sha256 {got}, not {etag})")


def check_room(need: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if need > 0 and need + _SPARE > free:
        raise FaultError("space", json.dumps({"need": need, "free": free, "folder": str(folder)}))


def facts(repo: str, revision: str | None) -> dict[str, Any]:
    """config.json, and the bytes of the weight files, without fetching them: those its index names, where it has one."""
    files = snapshot_download(
        repo,
        revision=revision,
        allow_patterns=["*.safetensors", INDEX],
        ignore_patterns=list(IGNORED),
        dry_run=True,
        tqdm_class=SilentBar,
    )
    sizes = {file.filename: file.file_size or 0 for file in files if file.filename.endswith(".safetensors")}
    if any(file.filename == INDEX for file in files):
        index = json.loads(Path(hf_hub_download(repo, INDEX, revision=revision)).read_text())
        named = set(index["weight_map"].values())
        if missing := sorted(named - sizes.keys()):
            raise FaultError("weights", f"its index names {missing[0]}, which is not in the repository")
        sizes = {name: size for name, size in sizes.items() if name in named}
    if not sizes:
        raise FaultError("weights", "no safetensors file in the repository")
    config = json.loads(Path(hf_hub_download(repo, "config.json", revision=revision)).read_text())
    return {"config": config, "weights": sum(sizes.values())}


# The hub's exceptions and what they mean; the first that fits, so the particular before the general.
_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (errors.GatedRepoError, "gated"),
    (errors.RepositoryNotFoundError, "absent"),
    (errors.RevisionNotFoundError, "revision"),
    (errors.HFValidationError, "absent"),
    (errors.LocalEntryNotFoundError, "missing"),
    (errors.OfflineModeIsEnabled, "missing"),
)


def kind_of(error: BaseException) -> str:
    of_the_network = False
    for link in _chain(error):
        for kind, name in _KINDS:
            if isinstance(link, kind):
                return name
        if isinstance(link, errors.HfHubHTTPError) and link.response.status_code in {401, 403}:
            return "denied"
        if isinstance(link, OSError) and link.errno == errno.ENOSPC:
            return "space"
        # httpx has had two distributions; its errors are known by their own module's name.
        modules = {base.__module__.split(".")[0] for base in type(link).__mro__}
        network = isinstance(link, errors.DryRunError | errors.HfHubHTTPError | ConnectionError | TimeoutError)
        of_the_network = of_the_network or network or bool(modules & {"httpx", "httpx2"})
    return "network" if of_the_network else "other"


def _chain(error: BaseException | None) -> list[BaseException]:
    """An exception and what it was raised from."""
    links: list[BaseException] = []
    while error is not None:
        links.append(error)
        error = error.__cause__
    return links


def main(request: dict[str, Any]) -> int:
    repo, revision = request["repo"], request.get("revision")
    try:
        if request.get("facts"):
            say(**facts(repo, revision))
        else:
            say(path=fetch(repo, revision, bool(request.get("offline"))))
    except FaultError as fault:
        say(fault=fault.kind, words=str(fault))
        return 1
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent hears it as one line
        cause = _chain(error)[-1]
        say(fault=kind_of(error), words=f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
