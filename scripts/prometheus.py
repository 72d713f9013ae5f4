"""Debian's Prometheus and its promtool, for the tests of what lies in docker/monitoring.

    python -m scripts.prometheus

The package is unpacked into the user's cache and not installed, so that no service is set up. Its version is the one of
this Debian or Ubuntu; apt holds it against the archive's signature. Ends well where it cannot be had, and says so: the
tests are then skipped in words, and fail in CI.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from local_models.weights.cache import cache_home
from scripts.apart import made_once

PROGRAMS = ("prometheus", "promtool")


def program(name: str) -> str | None:
    """One of the two programs: of this machine, else of the cache."""
    places = (os.environ.get("PATH", os.defpath), str(_folder() / "usr" / "bin"))
    return shutil.which(name, path=os.pathsep.join(places))


def install() -> str:
    """Unpacks the package; "" or a sentence why that is not possible."""
    if not all(map(shutil.which, ("apt-get", "dpkg-deb"))):
        return "only Debian's and Ubuntu's package is installed here"
    folder = _folder()
    try:
        with made_once(folder) as missing:
            if missing:
                folder.mkdir(parents=True)
                if os.geteuid() == 0:  # without it a fresh machine knows no package; another user takes what is known
                    _run(["apt-get", "update", "-q"], folder)
                _run(["apt-get", "download", "-q", "prometheus"], folder)
                for package in folder.glob("prometheus_*.deb"):
                    _run(["dpkg-deb", "-x", package.name, "."], folder)
                    package.unlink()
    except subprocess.CalledProcessError as fault:
        return f"{' '.join(fault.cmd)} failed: {fault.stderr.strip().splitlines()[-1:]}"
    return ""


def main() -> None:
    if not all(map(program, PROGRAMS)):
        print(install() or f"unpacked Debian's Prometheus into {_folder()}")


def _folder() -> Path:
    return cache_home(os.environ) / "prometheus"


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)


if __name__ == "__main__":
    main()
