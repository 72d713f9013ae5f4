"""Installs what the browser tests need and this machine may not have: Debian's Chromium, and axe-core by npm.

    python -m scripts.browser

Ends well where it cannot install something, and says so: the tests are then skipped in words, and fail in CI.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from scripts import ui_vendor

_PACKAGES = ("chromium", "fonts-dejavu-core")


def main() -> None:
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        print(chromium() or "installed Debian's Chromium")
    if why := ui_vendor.installed():
        print(f"axe-core is not here, its tests are skipped: {why}")


def chromium() -> str:
    """Installs it; "" or a sentence why that is not possible."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return "there is no Chromium, and only root on Debian can install it here"
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *_PACKAGES]):
        done = subprocess.run(["apt-get", *command], env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"apt-get {command[0]} failed: {done.stderr.strip().splitlines()[-1:]}"
    return ""


if __name__ == "__main__":
    main()
