"""Ray Serve with the CPU engine, for the tests of `make test-scale`: `python -m scripts.scale` installs it.

Ray Serve LLM pins another vLLM with CUDA. Its environment is therefore that of scripts/locks/scale-ray.txt, in which a .pth
file names the packages of the CPU engine's environment; the engine's own is not changed. Standard library only.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from local_models.installer import progress
from local_models.installer.install import UnfitBoxError
from local_models.installer.places import complete, engine_folder, lock_file
from local_models.weights.cache import cache_home
from scripts import apart

NAME = "scale-ray"
PYTHON = "python3.11"  # the CPU engine's


def ray() -> Path | None:
    """The folder of the environment, whose programs lie in bin; None where it is not installed."""
    folder = apart.python_folder(NAME)
    return folder if complete(folder) else None


def install() -> Path:
    """Makes the environment. Raises UnfitBoxError, progress.StepFailedError."""
    engine = engine_folder(cache_home(os.environ), "cpu", lock_file("cpu").read_bytes())
    if not complete(engine):
        raise UnfitBoxError("the CPU engine is not installed: hearth engine install --device cpu")
    folder = apart.python_environment(NAME, str(engine / "bin" / "python"))
    packages = folder / "lib" / PYTHON / "site-packages"
    below = engine / "lib" / PYTHON / "site-packages"
    (packages / "engine.pth").write_text(f"{below}\n")
    return folder


def main() -> int:
    # A machine without the CPU engine still runs the other tests; those that need it are skipped with the same words.
    try:
        install()
    except (UnfitBoxError, progress.StepFailedError) as fault:
        print(f"Ray is not here: {fault}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
