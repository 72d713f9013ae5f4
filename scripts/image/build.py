"""Carries out the stages of a Dockerfile: each in a copy of its base's folder, its RUN lines by chroot.

What the build machine needs to reach a package index (its resolver, certificates and pip's settings) is visible to RUN as
bind mounts in a mount namespace of its own, and is not in the image.
"""

from __future__ import annotations

import copy
import fnmatch
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.image.dockerfile import Config, Instruction, Stage, configure, parse

# Of the build machine: seen by RUN, as a container engine would provide network and trust.
BORROWED = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs", "/etc/pip.conf", "/etc/xdg/pip")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
PASSED = ("PIP_CERT", "PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "SSL_CERT_FILE", *PROXIES)


class BuildError(Exception):
    """A RUN line failed; the message holds its output."""


@dataclass(frozen=True, slots=True)
class Image:
    """A root file system in a folder, and how a container of it runs."""

    root: Path
    config: Config


def build(dockerfile: Path, context: Path, target: str, base: Path, work: Path) -> Image:
    """The image of the stage `target`. base: a tar of the file system that every outside image stands for."""
    stages = parse(dockerfile.read_text(), {})
    ignored = _ignored(context)
    made: dict[str, Image] = {}
    for name in _needed(stages, target):
        stage = stages[name]
        root = work / name
        if stage.base in made:
            subprocess.run(["cp", "-a", "--reflink=auto", str(made[stage.base].root), str(root)], check=True)
            config = copy.deepcopy(made[stage.base].config)
        else:
            root.mkdir(parents=True)
            subprocess.run(["tar", "-xf", str(base), "-C", str(root)], check=True)
            config = Config(env={"PATH": "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"})
        image = made[name] = Image(root, config)
        for instruction in stage.instructions:
            configure(config, instruction)
            if instruction.name == "RUN":
                _run(image, instruction.rest)
            elif instruction.name == "COPY":
                _copy(image, instruction, context, ignored, made)
            elif instruction.name == "WORKDIR":
                (root / config.folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    return made[target]


def _needed(stages: dict[str, Stage], target: str) -> list[str]:
    """The stages that the target is made of, each behind those it needs."""
    stage = stages[target]
    sources = [stage.base]
    sources += [each.rest.split()[0].removeprefix("--from=") for each in stage.instructions if "--from=" in each.rest]
    found = [name for source in sources if source in stages for name in _needed(stages, source)]
    return list(dict.fromkeys([*found, target]))


def _ignored(context: Path) -> list[str]:
    """The patterns of .dockerignore that exclude; here only those for names anywhere in the tree matter."""
    lines = (context / ".dockerignore").read_text().splitlines()
    return [line.removeprefix("**/") for line in lines if line.startswith("**/")]


def allowed(context: Path, source: str) -> bool:
    """True if .dockerignore lets the path into the build."""
    verdict = True
    for line in (context / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and (fnmatch.fnmatch(source, pattern) or source.startswith(f"{pattern}/")):
            verdict = line.startswith("!")
    return verdict


def _copy(
    image: Image, instruction: Instruction, context: Path, ignored: Sequence[str], made: dict[str, Image]
) -> None:
    *sources, last = instruction.rest.split()
    origin = context
    if sources[0].startswith("--from="):
        origin = made[sources.pop(0).removeprefix("--from=")].root
    target = image.root / os.path.normpath(
        f"{image.config.folder}/{last}" if not last.startswith("/") else last
    ).lstrip("/")
    for source in sources:
        if origin is context and not allowed(context, source):
            raise BuildError(f"COPY {source}: .dockerignore keeps it out")
        found = origin / source.lstrip("/")
        if found.is_dir():
            shutil.copytree(found, target, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*ignored))
        else:
            place = target / found.name if last.endswith("/") else target
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, place)


def _run(image: Image, line: str) -> None:
    mounts = [f"mount -t proc proc {shlex.quote(str(image.root / 'proc'))}", f"mount --bind /dev {image.root}/dev"]
    made: list[Path] = []
    for path in BORROWED:
        if not Path(path).exists():
            continue
        inside = image.root / path.lstrip("/")
        if not inside.exists():
            made.append(inside)
            inside.parent.mkdir(parents=True, exist_ok=True)
            inside.mkdir() if Path(path).is_dir() else inside.touch()
        mounts.append(f"mount --bind {path} {shlex.quote(str(inside))}")
    shell = shlex.join(["chroot", str(image.root), "/bin/sh", "-c", f"cd {image.config.folder} && {line}"])
    env = {**image.config.env, **{name: os.environ[name] for name in PASSED if name in os.environ}}
    command = ["unshare", "--mount", "--fork", "sh", "-ec", "\n".join([*mounts, f"exec {shell}"])]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    for inside in made:
        inside.rmdir() if inside.is_dir() else inside.unlink()
    if ended.returncode != 0:
        raise BuildError(f"RUN {line}\n{ended.stdout}{ended.stderr}")
