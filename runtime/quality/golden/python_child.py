"""Runs one check that the user wrote, alone in a process: no network, no other process, no file written, little memory.

    stdin    {"source": …, "name": …, "folder": …, "answer": {…}, "case": {…}}
    stdout   {"score": 0 to 1, "words": …}, or {"fault": …} if the check itself failed

Imports nothing of this project, so that it starts alone. The function gets the answer (`text`, `finish`, `tools`, `json()`) and
the case (a dictionary); it returns a truth value or a score, may return (score, words), and may use `assert`: then no answer is
a pass.
"""

from __future__ import annotations

import ast
import contextlib
import ctypes
import json
import os
import resource
import sys
from types import SimpleNamespace
from typing import Any

_CPU_S = 10
_MEMORY = 1 << 30  # bytes of address space
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000  # of unshare(2)
_NOT_ALLOWED = (
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.startfile",
)


def main() -> None:
    """The program."""
    # What the check writes, by whatever way, is no part of the verdict.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    asked = json.loads(sys.stdin.read())
    _shut_in()
    sys.path.append(asked["folder"])
    try:
        with contextlib.redirect_stdout(sys.stderr):
            names: dict[str, Any] = {"__name__": "checks"}
            exec(compile(asked["source"], "the check", "exec"), names)
            text = asked["answer"]["text"]
            answer = SimpleNamespace(**asked["answer"], json=lambda: json.loads(text))
            if asked["name"] not in names:
                raise LookupError(f"there is no function {asked['name']!r}")
            found = names[asked["name"]](answer, asked["case"])
        if found is None:
            found = any(isinstance(each, ast.Assert) for each in ast.walk(ast.parse(asked["source"]))) or None
        if found is None:
            raise ValueError("it returned nothing: return true, false or a score, or use `assert`")
        score, words = found if isinstance(found, tuple) else (found, "")
        told = {"score": min(1.0, max(0.0, float(score))), "words": str(words)}
    except AssertionError as fault:
        told = {"score": 0.0, "words": str(fault)}
    except BaseException as fault:  # noqa: BLE001 - whatever it raises, it is the check's fault and no verdict on the model
        told = {"fault": f"{type(fault).__name__}: {fault}"}
    out.write(json.dumps(told))
    out.flush()


def _shut_in() -> None:
    """Takes away what no check needs. Where the kernel gives no network of its own, an audit hook keeps sockets away."""
    ctypes.CDLL(None).unshare(_NEW_USER | _NEW_NET)
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    def refuse(event: str, _: object) -> None:
        if event.startswith(_NOT_ALLOWED):
            raise PermissionError(f"a check may not use {event}")

    sys.addaudithook(refuse)


if __name__ == "__main__":
    main()
