"""Checks the dashboard's modules: their types, their lint and format, and that the vendored files are what the lock builds.

    python -m scripts.ui

Needs node and npm; where they are not, it says so and checks nothing.
"""

from __future__ import annotations

import subprocess
import sys

from scripts import ui_types, ui_vendor

_MODULES = "runtime/server/pages/dashboard"


def main() -> None:
    if ui_types.FILE.read_text() != ui_types.written():
        sys.exit(f"{ui_types.FILE} is older than the structs: python -m scripts.ui_types")
    if why := ui_vendor.installed():
        print(f"the dashboard's modules were not checked: {why}")
        return
    commands = (
        [ui_vendor.tool("tsc"), "-p", str(ui_vendor.HERE)],
        [ui_vendor.tool("biome"), "check", _MODULES],
        [sys.executable, "-m", "scripts.ui_vendor", "--check"],
    )
    codes = [subprocess.run(command, cwd=ui_vendor.ROOT, check=False).returncode for command in commands]
    sys.exit(any(codes))


if __name__ == "__main__":
    main()
