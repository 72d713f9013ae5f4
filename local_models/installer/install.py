"""Makes an engine environment: checks the machine, fetches by hash, tries the result, marks it as whole.

An installation that was interrupted is continued behind the last batch that is in. Several at once wait for each other.
The steps that other environments of the checkout share (a lock held, a venv made) are public. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from local_models.installer import kinds, places, progress
from local_models.installer.kinds import EngineKind, Listing, Machine
from local_models.installer.places import EngineEnvironment

FINDER = Path(__file__).resolve().parent / "find-python"
PIP_INSTALL = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--progress-bar", "off")
BATCH = 15  # packages that one run of pip installs, and the most that an interruption costs
TRIAL = "import torch, vllm, transformers, gguf"


class UnfitBoxError(Exception):
    """The machine lacks something; the message says what and how to get it."""


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Holds the lock file. The kernel frees it when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"Another installation is at work ({path}); waiting for it.", flush=True)
                fcntl.flock(handle, fcntl.LOCK_EX)
            # Whoever held it may have removed the file, and with it the meaning of this lock.
            if path.exists() and os.fstat(handle.fileno()).st_ino == path.stat().st_ino:
                yield
                return


def make_venv(python: str, folder: Path) -> None:
    """A virtual environment with pip. Raises UnfitBoxError."""
    command = [python, "-m", "venv", "--clear", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise UnfitBoxError(
            f"{' '.join(command)} failed:\n{made.stdout}{made.stderr}\n"
            "On Debian or Ubuntu the cause is mostly the missing package python3-venv: sudo apt install python3-venv"
        )


def engine_python(kind: EngineKind, env: Mapping[str, str] = os.environ) -> str:
    """An interpreter the engine's lock serves; this one where it does. $PYTHON chose Hearth's own and binds only that."""
    if kinds.fits(sys.version_info[:2], kind) and importlib.util.find_spec("ensurepip"):
        return sys.executable
    rest = {name: value for name, value in env.items() if name != "PYTHON"}
    finder = ["sh", str(FINDER), kind.least, kind.most]
    found = subprocess.run(finder, capture_output=True, text=True, check=False, env=rest)
    if found.returncode != 0:
        raise UnfitBoxError(f"The {kind.device} engine needs a Python {kind.least} to {kind.most}.\n{found.stderr}")
    return found.stdout.strip()


def look_at(kind: EngineKind, cache: Path) -> Machine:
    """The facts an installation depends on."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = frozenset(cpuinfo.read_text().split()) if cpuinfo.exists() else frozenset[str]()
    libraries = frozenset({kind.library[0]} if kind.library and loads(kind.library[0]) else ())
    cache.mkdir(parents=True, exist_ok=True)
    return Machine(platform.system(), platform.machine(), flags, libraries, shutil.disk_usage(cache).free)


def loads(library: str) -> bool:
    """True if the dynamic linker finds the library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def detect_device(program: str = "nvidia-smi") -> str:
    """The engine that fits this machine, by the NVIDIA driver's own tool. Raises UnfitBoxError where that fails."""
    try:
        ended = subprocess.run([program, "-L"], capture_output=True, text=True, check=False, timeout=60)
        listing = Listing(ended.returncode, ended.stdout + ended.stderr)
    except FileNotFoundError:
        listing = None
    except subprocess.TimeoutExpired:
        listing = Listing(1, "it did not answer within 60 s")
    device = kinds.fitting_device(listing)
    if device is None:
        raise UnfitBoxError(
            f"There is an NVIDIA driver, but {program} -L fails:\n{listing.text if listing else ''}\n"
            "Repair the driver (after an update a reboot often does), or leave the GPU unused on purpose: "
            "hearth engine install --device cpu (in a checkout: make run ENGINE=cpu)"
        )
    return device


def install_engine(device: str, cache: Path) -> EngineEnvironment:
    """The whole environment of this version's lock, made if it is not there. Raises UnfitBoxError, StepFailedError.

    device: "auto", "cpu" or "cuda".
    """
    kind = kinds.ENGINES[detect_device() if device == "auto" else device]
    wanted = places.current(cache, kind.device)
    if wanted.complete:
        return wanted
    if found := kinds.obstacles(kind, look_at(kind, cache), cache):
        raise UnfitBoxError("\n".join(found))
    with only_one(wanted.lock):
        if not places.complete(wanted.folder):
            build_engine(kind, wanted)
    older = [each.folder.name for each in places.environments(cache) if each.device == kind.device and not each.current]
    if older:
        print(f"Of other versions of Hearth, removed with `hearth engine remove --older`: {', '.join(older)}")
    return places.current(cache, kind.device)


def build_engine(kind: EngineKind, wanted: EngineEnvironment) -> None:
    """Makes the environment, or continues one that was interrupted. The marker comes last: a half-made one is never whole."""
    folder, count = wanted.folder, wanted.folder / "installed"
    if not count.exists():
        print(
            f"The engine (vLLM, {kind.device}) goes to {folder}, once for all installations of this version; "
            "this takes some minutes.",
            flush=True,
        )
        make_venv(engine_python(kind), folder)
        count.write_text("0")
    install_locked(kind, wanted, count)
    try:
        progress.run("Trying the engine", [str(wanted.python), "-c", TRIAL], folder / "import.log")
    except progress.StepFailedError:
        count.unlink()  # the next try begins anew
        raise
    (folder / "complete").write_text(f"{kind.device} {places.lock_file(kind.device).name}\n")


def install_locked(kind: EngineKind, wanted: EngineEnvironment, count: Path) -> None:
    """The lock's packages in batches, each written down in `count` once it is in, so that a continuation begins behind it.

    A batch that an interruption cut in two is installed again, over what is there. Where the configured indexes lack the
    engine's torch, the index that has it is added.
    """
    pins = places.pinned(places.lock_file(kind.device).read_text())
    batch = wanted.folder / "batch.txt"
    more: list[str] = []
    done = int(count.read_text())
    again = ["--force-reinstall"] if done else []
    with progress.step(f"The engine's packages ({kind.device})") as line:
        while done < len(pins):
            # The first package alone: it is torch, the largest, and the one an index may lack.
            end = min(done + BATCH if done else 1, len(pins))
            batch.write_text("\n".join(pins[done:end]))
            command = [
                str(wanted.python),
                *PIP_INSTALL,
                "--no-deps",
                "--require-hashes",
                *again,
                "-r",
                str(batch),
                *more,
            ]
            try:
                progress.follow(line, command, wanted.folder / "install.log", f"{done} of {len(pins)}  ")
            except progress.StepFailedError as failed:
                if more or not (kind.late_index and "No matching distribution found for torch" in str(failed)):
                    raise
                print(f"\nThe configured indexes do not have this torch; adding {kind.late_index}.", flush=True)
                more = ["--extra-index-url", kind.late_index]
                continue
            done, again = end, []
            count.write_text(str(done))
