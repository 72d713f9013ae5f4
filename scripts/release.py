"""Makes a release: `python -m scripts.release VERSION [--out dist]`, or `--build-only` for the artifacts of the tree as it is.

In this order, and each only if the one before was good: the tree is clean and the version newer than the last tag; the
changelog's "Unreleased" becomes the version; wheel and sdist are built twice, compared and checked; bills of materials
(CycloneDX) of the package and of both engines; SHA256SUMS; a commit and an annotated tag. It pushes and uploads nothing: the
commands for that are printed.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from local_models.installer.install import UnfitBoxError
from local_models.installer.places import lock_file
from local_models.installer.progress import StepFailedError
from scripts.apart import python_environment
from scripts.install import LOCKS, ROOT

CHANGELOG, INIT = ROOT / "CHANGELOG.md", ROOT / "runtime" / "__init__.py"
UNRELEASED = "## Unreleased"
_VERSION = re.compile(r"^\d+\.\d+\.\d+$")
_ASSIGNED = re.compile(r'^__version__ = "([^"]+)"$', re.M)


class ReleaseError(Exception):
    """The release cannot be made; the message says why."""


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers that compare. Raises ReleaseError."""
    if not _VERSION.match(version):
        raise ReleaseError(f"{version!r} is no version like 1.2.3")
    return tuple(int(part) for part in version.split("."))


def changelog_of(text: str, version: str, day: str) -> str:
    """The changelog with what was unreleased under the version. Raises ReleaseError where nothing was."""
    before, found, after = text.partition(f"{UNRELEASED}\n")
    news = after.split("\n## ")[0].strip()
    if not found or not news:
        raise ReleaseError(f"CHANGELOG.md has nothing under {UNRELEASED}")
    return f"{before}{UNRELEASED}\n\n## {version} ({day})\n{after}"


def with_version(text: str, version: str) -> str:
    """runtime/__init__.py with another version."""
    changed, count = _ASSIGNED.subn(f'__version__ = "{version}"', text)
    if count != 1:
        raise ReleaseError("runtime/__init__.py assigns __version__ not exactly once")
    return changed


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def prepare(version: str) -> None:
    """Writes version and changelog into the tree. Raises ReleaseError before anything is changed."""
    wanted = numbers(version)
    if git("status", "--porcelain"):
        raise ReleaseError("the tree has changes: commit or drop them first")
    tags = [numbers(tag.removeprefix("v")) for tag in git("tag", "--list", "v*.*.*").split()]
    if tags and wanted <= max(tags):
        raise ReleaseError(f"{version} is not newer than {'.'.join(map(str, max(tags)))}")
    changelog = changelog_of(CHANGELOG.read_text(), version, datetime.now(UTC).date().isoformat())
    INIT.write_text(with_version(INIT.read_text(), version))
    CHANGELOG.write_text(changelog)


def artifacts(out: Path) -> list[Path]:
    """Builds, compares and checks; the files, SHA256SUMS last. Raises ReleaseError."""
    tools = python_environment("release-wheel") / "bin"
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        for folder in (first, second):
            done([tools / "hatchling", "build", "-d", folder])
        made = sorted(Path(first).iterdir())
        for each in made:
            if each.read_bytes() != (Path(second) / each.name).read_bytes():
                raise ReleaseError(f"{each.name} differs when it is built again")
        built = [out / each.name for each in made]
        for source, target in zip(made, built, strict=True):
            target.write_bytes(source.read_bytes())
    done([tools / "twine", "check", "--strict", *built])
    done([tools / "check-wheel-contents", *(each for each in built if each.suffix == ".whl")])
    built += bills(out)
    sums = out / "SHA256SUMS"
    sums.write_text("".join(f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in built))
    return [*built, sums]


def bills(out: Path) -> list[Path]:
    """The bills of materials of the package and of its two engines, from their locks."""
    program = python_environment("release-sbom") / "bin" / "cyclonedx-py"
    locks = {"core": LOCKS / "core.txt", **{f"engine-{device}": lock_file(device) for device in ("cpu", "cuda")}}
    made = []
    for name, lock in locks.items():
        made.append(out / f"hearth-runtime-{name}.cdx.json")
        done([program, "requirements", "--output-reproducible", "--of", "JSON", "-o", made[-1], lock])
    return made


def done(command: list[str | Path]) -> None:
    """Runs a tool. Raises ReleaseError with its words."""
    ended = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise ReleaseError(f"{Path(command[0]).name} failed:\n{ended.stdout}{ended.stderr}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.release", description="Makes a release; pushes nothing.")
    parser.add_argument("version", nargs="?", help="like 0.2.0")
    parser.add_argument(
        "--build-only", action="store_true", help="the artifacts of the tree as it is; nothing is changed"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    chosen = parser.parse_args()
    if bool(chosen.version) is chosen.build_only:
        parser.error("give a version, or --build-only")
    try:
        if chosen.version:
            prepare(chosen.version)
        for path in artifacts(chosen.out):
            print(path)
    except (ReleaseError, UnfitBoxError, StepFailedError) as fault:
        print(fault, file=sys.stderr)
        if chosen.version:
            print(
                "Nothing was tagged. To take the tree back: git checkout CHANGELOG.md runtime/__init__.py",
                file=sys.stderr,
            )
        return 1
    if chosen.version:
        git("commit", "-am", f"Release {chosen.version}")
        git("tag", "-a", f"v{chosen.version}", "-m", f"Hearth {chosen.version}")
        print(
            f"\nTagged v{chosen.version}. Then:\n  git push --follow-tags\n  twine upload {chosen.out}/hearth_runtime-*"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
