"""Makes the environments: `python -m scripts.install core`, `dev`, or `engine [--device auto|cpu|cuda]`.

    core    .venv with the locked packages of scripts/locks/core.txt and the project itself, editable
    dev     the same with what tests and checks need
    engine  vLLM, in the user's cache, from scripts/locks/engine-DEVICE.txt

Does nothing where nothing has changed. Everything is installed by hash; several at once wait for each other. An engine
environment that was interrupted is removed and made again. Runs on a bare Python: standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts import environments, progress
from scripts.environments import Box, EngineKind, Listing

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "scripts" / "locks"
VENV = ROOT / ".venv"
PIP_INSTALL = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--progress-bar", "off")


class UnfitBoxError(Exception):
    """The box lacks something; the message says what and how to get it."""


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Holds the lock file. The kernel frees it when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another installation is at work ({path}); waiting for it.", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def starts(python: Path) -> bool:
    """Whether the interpreter runs, is new enough and has pip. It has not after an interrupted start."""
    probe = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def make_venv(python: str, folder: Path) -> None:
    command = [python, "-m", "venv", "--clear", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise UnfitBoxError(
            f"{' '.join(command)} failed:\n{made.stdout}{made.stderr}\n"
            "On Debian or Ubuntu the cause is mostly the missing package python3-venv: sudo apt install python3-venv"
        )


def install_packages(which: str) -> None:
    """Brings `.venv` to the set `which` ("core" or "dev")."""
    lock, python, stamp_file = LOCKS / f"{which}.txt", VENV / "bin" / "python", VENV / "stamp"
    project = environments.installed_part((ROOT / "pyproject.toml").read_text())
    wanted = environments.digest(lock.read_bytes(), project, str(ROOT).encode())
    with only_one(ROOT / ".venv.lock"):
        stamp = stamp_file.read_text() if stamp_file.is_file() else ""
        if environments.stamps(stamp).get(which) == wanted and starts(python):
            return
        if not starts(python):
            stamp = ""
            make_venv(sys.executable, VENV)
        log = VENV / "install.log"
        locked = [str(python), *PIP_INSTALL, "--no-deps", "--require-hashes", "-r", str(lock)]
        progress.run(f"Hearth's own packages ({which}, into .venv)", locked, log)
        itself = [str(python), *PIP_INSTALL, "--no-deps", "--no-build-isolation", "-e", str(ROOT)]
        progress.run("Hearth itself", itself, log)
        stamp_file.write_text(environments.with_stamp(stamp, which, wanted))


def engine_python(kind: EngineKind) -> str:
    """An interpreter the engine's lock serves; this one where it does. $PYTHON chose the core's and binds only that."""
    if environments.fits(sys.version_info[:2], kind):
        return sys.executable
    finder = [str(ROOT / "scripts" / "find-python"), kind.least, kind.most]
    rest = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    found = subprocess.run(finder, capture_output=True, text=True, check=False, env=rest)
    if found.returncode != 0:
        raise UnfitBoxError(
            f"The {kind.device} engine needs its own Python {kind.least} to {kind.most}.\n{found.stderr}"
        )
    return found.stdout.strip()


def look_at(kind: EngineKind, cache: Path) -> Box:
    cpuinfo = Path("/proc/cpuinfo")
    flags = frozenset(cpuinfo.read_text().split()) if cpuinfo.exists() else frozenset[str]()
    libraries = frozenset({kind.library[0]} if kind.library and loads(kind.library[0]) else ())
    cache.mkdir(parents=True, exist_ok=True)
    return Box(platform.system(), platform.machine(), flags, libraries, shutil.disk_usage(cache).free)


def loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def detect_device(program: str = "nvidia-smi") -> str:
    """The engine that fits this box, by what the NVIDIA driver's own tool says. Raises UnfitBoxError where that fails."""
    try:
        ended = subprocess.run([program, "-L"], capture_output=True, text=True, check=False, timeout=60)
        listing = Listing(ended.returncode, ended.stdout + ended.stderr)
    except FileNotFoundError:
        listing = None
    except subprocess.TimeoutExpired:
        listing = Listing(1, "it did not answer within 60 s")
    device = environments.fitting_device(listing)
    if device is None:
        raise UnfitBoxError(
            f"There is an NVIDIA driver, but {program} -L fails:\n{listing.text if listing else ''}\n"
            "Repair the driver (after an update a reboot often does), or leave the GPU unused on purpose: make run ENGINE=cpu"
        )
    return device


def install_engine(device: str) -> None:
    """Makes the engine environment for the device, unless it is there."""
    kind = environments.ENGINES[detect_device() if device == "auto" else device]
    lock = LOCKS / f"engine-{kind.device}.txt"
    cache = environments.cache_home(os.environ, Path.home())
    folder = environments.engine_folder(cache, kind.device, lock.read_bytes())
    if environments.complete(folder):
        return
    if found := environments.obstacles(kind, look_at(kind, cache), cache):
        raise UnfitBoxError("\n".join(found))
    with only_one(cache / f"{folder.name}.lock"):
        if not environments.complete(folder):
            build_engine(kind, lock, folder)
    if older := environments.older_engines(cache, folder):
        print("Older engine environments, free to delete when no checkout needs them: " + " ".join(map(str, older)))


def build_engine(kind: EngineKind, lock: Path, folder: Path) -> None:
    """Makes the environment from nothing. The marker comes last, so a half-made one is never taken for whole."""
    if folder.exists():
        print(f"Removing an unfinished engine environment: {folder}", flush=True)
        shutil.rmtree(folder)
    print(
        f"The engine (vLLM, {kind.device}) goes to {folder}, once for all checkouts; this takes some minutes.",
        flush=True,
    )
    make_venv(engine_python(kind), folder)
    python = str(folder / "bin" / "python")
    command = [python, *PIP_INSTALL, "--no-deps", "--require-hashes", "-r", str(lock)]
    install_with_late_index(kind, command, folder / "install.log")
    progress.run("Trying the engine", [python, "-c", "import torch, vllm, transformers, gguf"], folder / "import.log")
    (folder / "complete").write_text(f"{kind.device} {lock.name} {platform.python_version()}\n")


def install_with_late_index(kind: EngineKind, command: list[str], log: Path) -> None:
    """From the configured indexes; where those lack the engine's torch, once more with the index that has it."""
    try:
        progress.run(f"The engine's packages ({kind.device})", command, log)
    except progress.StepFailedError as failed:
        if not (kind.late_index and "No matching distribution found for torch" in str(failed)):
            raise
        print(f"The configured indexes do not have this torch; adding {kind.late_index}.", flush=True)
        progress.run(f"The engine's packages ({kind.device})", [*command, "--extra-index-url", kind.late_index], log)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.install", description="Makes Hearth's environments.")
    parser.add_argument("what", choices=("core", "dev", "engine"))
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "none"), default="auto")
    chosen = parser.parse_args()
    try:
        if chosen.what != "engine":
            install_packages(chosen.what)
        elif chosen.device != "none" and not os.environ.get("HEARTH_ENGINE_PYTHON"):
            install_engine(chosen.device)
    except (UnfitBoxError, progress.StepFailedError) as failed:
        print(f"\n{failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on where it stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
