"""A Debian file system in place of a base image, where no registry can be reached. Made by mmdebstrap, kept in the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from local_models.installer.install import UnfitBoxError, only_one
from local_models.weights.cache import cache_home

PACKAGES = "ca-certificates,python3,python3-venv"
SUITE = "bookworm"


def why_not() -> str | None:
    """The reason why no image can be built and run here; None where one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "building and running an image needs root on Linux"
    if missing := [name for name in ("unshare", "chroot", "setpriv", "nsenter") if shutil.which(name) is None]:
        return f"{', '.join(missing)} missing: apt install util-linux"
    probe = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", "mount -t tmpfs none /mnt"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        return "the kernel allows no mount namespaces here"
    return None


def debian() -> Path:
    """The file system as a tar. Raises UnfitBoxError where it cannot be made."""
    tar = cache_home(os.environ) / f"image-base-{SUITE}.tar"
    with only_one(tar.with_suffix(".lock")):
        if tar.exists():
            return tar
        if shutil.which("mmdebstrap") is None:
            apt = "apt-get update -qq && apt-get install -qq --yes --no-install-recommends mmdebstrap"
            ended = subprocess.run(["sh", "-c", apt], capture_output=True, text=True, check=False)
            if ended.returncode != 0:
                raise UnfitBoxError(f"mmdebstrap is missing, and apt cannot install it:\n{ended.stderr}")
        making = tar.with_suffix(".making.tar")
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(making)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            raise UnfitBoxError(f"{' '.join(command)} failed:\n{ended.stderr}")
        making.rename(tar)
    return tar
