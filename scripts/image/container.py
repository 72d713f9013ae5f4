"""Runs an image as a container engine would with --read-only, --user, --cap-drop ALL and no-new-privileges.

Own mount, process, IPC and host-name namespaces; the network is the machine's. The root is read-only but for the volumes,
/tmp and /dev/shm. The first process inside is the image's entry point, as PID 1.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from scripts.image.build import Image

UNSHARED = ("--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--propagation", "private")
_KILLED_WITHIN_S = 30.0
DEVICES = ("null", "zero", "full", "random", "urandom")


class Container:
    """One running container. A context: leaving it kills whatever is left. volumes: a folder on the machine for each."""

    def __init__(
        self, image: Image, user: str, env: Mapping[str, str], volumes: Path, log: Path, command: Sequence[str] = ()
    ) -> None:
        self.image, self.user, self.log = image, user, log
        self.env = {**image.config.env, **env}
        root = image.root
        steps = [f"mount --bind {root} {root}", f"mount -t tmpfs -o mode=755 dev {root}/dev"]
        for name in DEVICES:
            steps += [f"touch {root}/dev/{name}", f"mount --bind /dev/{name} {root}/dev/{name}"]
        steps += [f"ln -s /proc/self/fd {root}/dev/fd", f"mkdir {root}/dev/shm"]
        steps += [f"mount -t tmpfs -o mode=1777 {name} {root}/{name}" for name in ("dev/shm", "tmp")]
        for volume in image.config.volumes:
            outside = volumes / volume.strip("/").replace("/", "-")
            outside.mkdir(parents=True, exist_ok=True)
            outside.chmod((root / volume.lstrip("/")).stat().st_mode & 0o7777)  # as a new volume gets it from the image
            steps.append(f"mount --bind {outside} {root}{volume}")
        steps += [f"mount -t proc proc {root}/proc", f"mount -o remount,bind,ro {root}"]
        inside = [*image.config.entrypoint, *(command or image.config.command)]
        steps.append(f"exec {shlex.join(self._entering(inside))}")
        self._init: psutil.Process | None = None
        with log.open("wb") as out:
            self._outer = subprocess.Popen(
                ["unshare", *UNSHARED, "sh", "-ec", "\n".join(steps)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        # With PID 1 every process of its namespace ends. `--kill-child` does not do that once it runs as the user: a process
        # that changes its user loses the signal of its parent's death.
        if self._init is not None or self._outer.poll() is None:
            with contextlib.suppress(IndexError, psutil.NoSuchProcess):
                self.init.kill()
        try:
            self._outer.wait(_KILLED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._outer.kill()
            self._outer.wait()

    def _entering(self, command: Sequence[str]) -> list[str]:
        """The command as the user, in the image's root and folder, with the image's environment and no privileges."""
        script = f"cd {self.image.config.folder} && exec {shlex.join(command)}"
        env = [f"{key}={value}" for key, value in self.env.items()]
        # A user that is not root has no capabilities, and gains none by a program's file.
        chroot = ["setpriv", "--no-new-privs", "chroot", f"--userspec={self.user}", "--groups=", str(self.image.root)]
        return [*chroot, "/usr/bin/env", "-i", *env, "/bin/sh", "-c", script]

    @property
    def init(self) -> psutil.Process:
        """PID 1 of the container, seen from outside."""
        if self._init is None:
            self._init = psutil.Process(self._outer.pid).children()[0]
        return self._init

    def processes(self) -> list[psutil.Process]:
        """Every process of the container."""
        return [self.init, *self.init.children(recursive=True)]

    def execute(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Runs a command beside the first process, as `docker exec` does."""
        joined = ["nsenter", "--target", str(self.init.pid), "--mount", "--pid", "--ipc", "--uts"]
        return subprocess.run([*joined, *self._entering(command)], capture_output=True, text=True, check=False)

    def stop(self, within_s: float) -> int:
        """The image's stop signal to the first process, and the container's exit code."""
        os.kill(self.init.pid, signal.Signals[self.image.config.stop_signal])
        return self._outer.wait(within_s)

    def wait(self, within_s: float) -> int:
        """The exit code of a container that ends by itself."""
        return self._outer.wait(within_s)
