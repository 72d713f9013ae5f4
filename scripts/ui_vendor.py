"""Makes the dashboard's vendored files from an npm lock, and compares them with what is committed.

    python -m scripts.ui_vendor            builds them again
    python -m scripts.ui_vendor --check    fails if a build differs from what is committed

Needs node and npm, for development alone: the files are part of the package, and nobody who runs Hearth builds them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "scripts" / "ui"
MODULES = HERE / "node_modules"
OUT = ROOT / "runtime" / "server" / "pages" / "dashboard"
NOTICE = "vendor.txt"

_BUNDLES = {
    "vendor.js": (
        ("preact", "htm", "@preact/signals", "@preact/signals-core"),
        "import { h } from 'preact';\n"
        "import htm from 'htm';\n"
        "export { h, render, Fragment } from 'preact';\n"
        "export { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';\n"
        "export { batch, computed, effect, signal, useComputed, useSignal } from '@preact/signals';\n"
        "export const html = htm.bind(h);\n",
    ),
    "vendor-plot.js": (("uplot",), "export { default } from 'uplot';\n"),
}
_STYLES = {"vendor-plot.css": "uplot/dist/uPlot.min.css"}


def installed() -> str:
    """Installs the packages of the lock if they are not there as it names them. "" or a sentence why that is not possible."""
    lock = HERE / "package-lock.json"
    mark = MODULES / ".hearth-lock"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if mark.exists() and mark.read_text() == wanted:
        return ""
    npm = shutil.which("npm")
    if npm is None:
        return "node and npm are not installed here"
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        return "npm did not end within five minutes"
    if done.returncode:
        return f"npm could not install the lock: {done.stderr.strip().splitlines()[-1:] or done.returncode}"
    mark.write_text(wanted)
    return ""


def tool(name: str) -> str:
    """The path of an installed program."""
    if name == "esbuild":  # its own launcher needs an install script, which is not run
        return str(next((MODULES / "@esbuild").glob("*/bin/esbuild")))
    return str(MODULES / ".bin" / name)


def build(folder: Path) -> None:
    """Writes the bundles, the styles and the notice with licences and checksums."""
    for name, (_, entry) in _BUNDLES.items():
        command = [tool("esbuild"), "--bundle", "--format=esm", "--minify", "--target=es2022", "--legal-comments=none"]
        made = subprocess.run(command, cwd=HERE, input=entry, capture_output=True, text=True, check=True)
        (folder / name).write_text(made.stdout)
    for name, source in _STYLES.items():
        shutil.copyfile(MODULES / source, folder / name)
    (folder / NOTICE).write_text(_notice(folder))


def _notice(folder: Path) -> str:
    parts = ["The vendored files of the dashboard, built by `python -m scripts.ui_vendor` from an npm lock.\n"]
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (*_BUNDLES, *_STYLES)}
    parts += [f"{name}  sha256 {digest}" for name, digest in digests.items()]
    for package in dict.fromkeys(each for packages, _ in _BUNDLES.values() for each in packages):
        about = json.loads((MODULES / package / "package.json").read_text())
        text = next((MODULES / package).glob("LICENSE*")).read_text().strip()
        parts.append(f"\n{'-' * 80}\n{package} {about['version']} ({about['license']})\n\n{text}")
    return "\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    arguments = parser.parse_args()
    if why := installed():
        words = f"the dashboard's vendored files were not built again: {why}"
        print(words)
        sys.exit(0 if arguments.check else 1)
    if not arguments.check:
        build(OUT)
        return
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        differ = [each.name for each in Path(folder).iterdir() if each.read_bytes() != (OUT / each.name).read_bytes()]
    if differ:
        sys.exit(f"built again, these differ from what is committed: {', '.join(sorted(differ))}")


if __name__ == "__main__":
    main()
