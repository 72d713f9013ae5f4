"""Makes the checkout's own environment: `python -m scripts.install core` or `dev`.

    core    .venv with the locked packages of scripts/locks/core.txt and the project itself, editable
    dev     the same with what tests and checks need

Does nothing where nothing has changed. Everything is installed by hash; several at once wait for each other. The engine's
environment is made by `hearth engine install`. Runs on a bare Python: standard library only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from local_models.installer import progress
from local_models.installer.install import PIP_INSTALL, UnfitBoxError, make_venv, only_one
from scripts import environments

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "scripts" / "locks"
VENV = ROOT / ".venv"


def starts(python: Path) -> bool:
    """True if the interpreter runs, is new enough and has pip. It has not after an interrupted start."""
    probe = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def install_packages(which: str) -> None:
    """Brings `.venv` to the set `which` ("core" or "dev")."""
    lock, python, stamp_file = LOCKS / f"{which}.txt", VENV / "bin" / "python", VENV / "stamp"
    project = environments.installed_part((ROOT / "pyproject.toml").read_text())
    # dev holds every pin of core, and is both.
    sets = ("core", "dev") if which == "dev" else ("core",)
    wanted = {
        name: environments.digest((LOCKS / f"{name}.txt").read_bytes(), project, str(ROOT).encode()) for name in sets
    }
    with only_one(ROOT / ".venv.lock"):
        stamp = stamp_file.read_text() if stamp_file.is_file() else ""
        if environments.stamps(stamp).get(which) == wanted[which] and starts(python):
            return
        if not starts(python):
            stamp = ""
            make_venv(sys.executable, VENV)
        log = VENV / "install.log"
        locked = [str(python), *PIP_INSTALL, "--no-deps", "--require-hashes", "-r", str(lock)]
        progress.run(f"Hearth's own packages ({which}, into .venv)", locked, log)
        itself = [str(python), *PIP_INSTALL, "--no-deps", "--no-build-isolation", "-e", str(ROOT)]
        progress.run("Hearth itself", itself, log)
        for name in sets:
            stamp = environments.with_stamp(stamp, name, wanted[name])
        stamp_file.write_text(stamp)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.install", description="Makes the checkout's environment.")
    parser.add_argument("what", choices=("core", "dev"))
    chosen = parser.parse_args()
    try:
        install_packages(chosen.what)
    except (UnfitBoxError, progress.StepFailedError) as failed:
        print(f"\n{failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on where it stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
